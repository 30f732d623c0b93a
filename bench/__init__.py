"""Measurements of tiercare against the machine it runs on and against other FHIR servers: see README.md."""
