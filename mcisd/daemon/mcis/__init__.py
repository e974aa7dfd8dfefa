"""MCIS: desired state (service), the pure next step (decide), and the reconciler that brings the world there."""
