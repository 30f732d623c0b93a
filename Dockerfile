# tiercare: the server by default, the listener as `docker run … tiercare listen …`. docker-compose.yml runs both.
# Two stages, so that the image holds no compiler cache, no source tree and no pip download.
FROM python:3.11-slim-bookworm AS build
RUN python -m venv /opt/tiercare
WORKDIR /src
# Requirements first: they change rarely, and their layer is kept while the code changes.
COPY requirements/run.txt requirements/mongo.txt requirements/
RUN /opt/tiercare/bin/pip install --no-cache-dir --disable-pip-version-check --require-hashes \
    -r requirements/run.txt -r requirements/mongo.txt
COPY pyproject.toml README.md LICENSE ./
COPY server server/
COPY adapters adapters/
COPY profiles profiles/
RUN /opt/tiercare/bin/pip install --no-cache-dir --disable-pip-version-check --no-deps --no-build-isolation . \
    && /opt/tiercare/bin/tiercare check

FROM python:3.11-slim-bookworm
# No shell, no home, no password; the same number on every machine, for the owner of mounted folders.
RUN useradd --system --uid 10001 --no-create-home --shell /usr/sbin/nologin tiercare \
    && install -d -o tiercare -g tiercare -m 0700 /data
COPY --from=build /opt/tiercare /opt/tiercare
COPY deploy/answers.py /opt/tiercare/answers.py
ENV PATH=/opt/tiercare/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1
USER tiercare
WORKDIR /data
VOLUME /data
EXPOSE 8080
HEALTHCHECK --interval=10s --timeout=5s --start-period=30s --retries=3 \
    CMD ["python", "/opt/tiercare/answers.py", "http://127.0.0.1:8080/health"]
ENTRYPOINT ["tiercare"]
# A container's loopback is its own: to be reached at all, the server listens on the container's network, which it
# refuses without --allow-open because there is no authentication yet. So whoever runs the image decides who reaches
# that network: publish the port on 127.0.0.1 only (docker run -p 127.0.0.1:8080:8080).
CMD ["serve", "--host", "0.0.0.0", "--port", "8080", "--allow-open", "--data", "/data"]
