"""The Grafana dashboards as code. In: what daemon and agents measure. Out: JSON in ``deploy/grafana/dashboards``.

``python -m tools.dashboards`` writes the files; a test holds them against what this package makes.
"""
