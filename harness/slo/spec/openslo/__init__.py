"""OpenSLO v1 documents (github.com/OpenSLO/OpenSLO, the field rules of its go-sdk): read, and written."""
