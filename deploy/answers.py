"""Health check of a container, with nothing but Python: exits 0 when every address given answers, else 1 and says why.

    answers.py http://127.0.0.1:8080/health tcp://127.0.0.1:2575

http answers with status 200, tcp by taking the connection. No proxy is asked: the addresses are the container's own.
"""

import socket
import sys
from http.client import HTTPConnection, HTTPException
from urllib.parse import urlsplit

SECONDS = 4.0  # less than the time-out of the health check that calls this


def trouble(address: str) -> str:
    """Why the address does not answer, '' if it does."""
    parts = urlsplit(address)
    if not parts.hostname or not parts.port:
        return "is no address: http://host:port/path or tcp://host:port is wanted"
    try:
        if parts.scheme == "tcp":
            socket.create_connection((parts.hostname, parts.port), SECONDS).close()
        elif parts.scheme == "http":
            connection = HTTPConnection(parts.hostname, parts.port, timeout=SECONDS)
            connection.request("GET", parts.path or "/")
            status = connection.getresponse().status
            connection.close()
            return "" if status == 200 else f"answers with status {status}"
        else:
            return f"has the scheme '{parts.scheme}': http or tcp is wanted"
    except (OSError, HTTPException) as error:
        return f"does not answer: {error or type(error).__name__}"
    return ""


def main(addresses: list[str]) -> int:
    if not addresses:
        print("no address was given", file=sys.stderr)
        return 1
    found = {address: trouble(address) for address in addresses}
    for address, why in found.items():
        if why:
            print(f"{address} {why}", file=sys.stderr)
    return 1 if any(found.values()) else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
