"""Requests and answers of the API, one module per part of the interface."""
