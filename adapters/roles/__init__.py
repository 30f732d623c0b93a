"""Cells by role -> resources: what the row-, JSON- and SOAP-shaped adapters share. A table says which column has which
role (`patient.name`, `to.code`, `observe`); the modules here make the resources of each role. Pure."""
