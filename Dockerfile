# syntax=docker/dockerfile:1
#
#   docker build -t voice-agent .
#   docker run --env-file .env -p 8000:8000 -v voice-data:/data --stop-timeout 75 voice-agent
#
# It writes only to /data, so it also runs with: --read-only --tmpfs /tmp --cap-drop ALL
# After SIGTERM, live calls go on for DRAIN_SECONDS, then the agent says goodbye. Allow half a minute more before a kill.

FROM python:3.13-slim AS build
WORKDIR /build
# The image has no installer: the build's own pip installs into it from outside.
RUN python -m venv --without-pip /opt/venv
COPY . .
ENV PIP_CACHE_DIR=/cache
RUN --mount=type=cache,target=/cache \
    pip --python /opt/venv/bin/python install --require-hashes --requirement requirements-build.lock \
    && pip --python /opt/venv/bin/python install --require-hashes --no-build-isolation --requirement requirements.lock \
    && pip --python /opt/venv/bin/python install --no-deps --no-build-isolation . \
    && pip --python /opt/venv/bin/python uninstall --yes setuptools

FROM python:3.13-slim AS base
# The local voice, for when no vendor speaks. It is a separate program with its own licence (GPL-3.0).
RUN apt-get update \
    && apt-get install --yes --no-install-recommends espeak-ng \
    && rm -rf /var/lib/apt/lists/*
RUN pip uninstall --yes --root-user-action ignore pip \
    && useradd --uid 10001 --user-group --no-create-home --shell /usr/sbin/nologin agent \
    && install --directory --owner agent --group agent --mode 0700 /data
COPY --from=build /opt/venv /opt/venv
# The base image's standard library has no bytecode, and the service writes none. Compiling here what it imports saves each
# process a second at its start. A library that is missing in the image fails the build.
RUN /opt/venv/bin/python -c "import app.cli.serve, app.wiring_telephone, app.clients.cartesia.batch, app.clients.deepgram.batch, app.clients.openai.connections, app.clients.mcp_protocol, app.clients.otlp, app.storage.migrations"
ENV PATH=/opt/venv/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    ENVIRONMENT=production \
    VA_HOST=0.0.0.0 \
    PORT=8000 \
    DATA_DIR=/data
WORKDIR /data
VOLUME /data
EXPOSE 8000
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=15s --timeout=3s --start-period=20s --retries=3 \
    CMD ["python", "-c", "import http.client, os, sys; door = http.client.HTTPConnection('127.0.0.1', int(os.environ['PORT']), timeout=2); door.request('GET', '/health/live'); sys.exit(door.getresponse().status != 200)"]

# Fly.io mounts a new volume as root's: this one hands it over, then gives up every privilege.
FROM base AS fly
ENTRYPOINT ["sh", "-c", "chown agent:agent /data && exec setpriv --reuid agent --regid agent --init-groups --no-new-privs --inh-caps=-all \"$@\"", "--"]
CMD ["voice-agent", "serve"]

FROM base AS service
USER agent
CMD ["voice-agent", "serve"]
