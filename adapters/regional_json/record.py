"""Where the adapter's tables are: what parse and map both need to know."""

PACKAGE = "adapters.regional_json"
