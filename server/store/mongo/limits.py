"""Every limit of the MongoDB store: seconds, counts and bytes, each with the reason for its size."""

SELECTION = 5.0  # seconds until a server that does not answer is called out of reach
READ = 10.0  # seconds a query may take, on the server (maxTimeMS) and on the way
COMMIT = 10.0  # seconds a commit may take, all tries together; no commit is sent after them
ADMIN = 60.0  # seconds for what happens at start: indexes of a filled database

# A writer number is leased, so that stamps of several processes never meet. A writer that stops renewing holds the
# change feed of the others back until its lease is over; a commit starts only while the lease outlasts COMMIT.
WRITERS = 256  # processes at a time: the low 8 bits of a stamp
LEASE = 30.0  # seconds, by the server's clock
HEARTBEAT = 0.5  # seconds between renewals: how far the feed of one process lags behind the commits of another

BACKOFF = 0.002  # seconds of the first pause after a clash; doubled each time, with jitter
BACKOFF_MOST = 0.1  # seconds
JOINED = 1000  # resources that one step of a chain or of a _has may carry to the next
FEW = 200  # rows of a leading criterion that an explained search counts
CONTAINS = 200  # characters of a `contains` text: it becomes a regular expression
WIRE = 21  # MongoDB 7.0
WIRE_CLIENT_BULK = 25  # MongoDB 8.0: one command for all collections of a transaction
