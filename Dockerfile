# The bot in a container. docs/operations.md explains how to run it.
#
# BASE is any Debian or Ubuntu with Python 3.11 or later and its venv. It is pinned by tag here. For your builds,
# pin it by digest: `make image BASE=python:3.11-slim-bookworm@sha256:…`. Everything else is pinned by hash.
ARG BASE=python:3.11-slim-bookworm

FROM ${BASE} AS builder
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1 PIP_ROOT_USER_ACTION=ignore
WORKDIR /build
# The brackets make the folder optional. With the folder (`make wheels`), nothing is downloaded here.
COPY requirements.lock requirements-build.lock wheel[s] /build/wheels/
RUN set -eu; \
    if ls wheels/*.whl >/dev/null 2>&1; then export PIP_NO_INDEX=1 PIP_FIND_LINKS=/build/wheels; fi; \
    python3 -m venv tools; \
    tools/bin/pip install --require-hashes --only-binary=:all: -r wheels/requirements-build.lock; \
    python3 -m venv --without-pip /opt/deploybot; \
    tools/bin/pip --python /opt/deploybot/bin/python install \
        --require-hashes --only-binary=:all: -r wheels/requirements.lock
COPY pyproject.toml README.md LICENSE ./
COPY deploybot deploybot
COPY commands commands
# sqlite-utils depends on pip, but uses it only in one of its own commands. An image without pip is safer.
RUN set -eu; \
    tools/bin/pip wheel --no-index --no-deps --no-build-isolation --wheel-dir dist .; \
    tools/bin/pip --python /opt/deploybot/bin/python install --no-index --no-deps dist/*.whl; \
    tools/bin/pip --python /opt/deploybot/bin/python uninstall --yes pip

FROM ${BASE}
# git and ssh fetch the apps' repositories. ssh needs a user with a name, and with a home that exists.
RUN set -eu; \
    if ! command -v git >/dev/null || ! command -v ssh >/dev/null; then \
        apt-get -qq update; \
        apt-get -qq install --no-install-recommends git openssh-client ca-certificates >/dev/null; \
        rm -rf /var/lib/apt/lists/*; \
    fi; \
    groupadd --gid 10001 deploybot; \
    useradd --uid 10001 --gid 10001 --no-create-home --home-dir /var/lib/deploybot --shell /usr/sbin/nologin deploybot; \
    install -d -m 700 -o deploybot -g deploybot /var/lib/deploybot; \
    install -d -m 755 /etc/deploybot
COPY --from=builder /opt/deploybot /opt/deploybot
ENV PATH=/opt/deploybot/bin:$PATH \
    PYTHONNODEBUGRANGES=1 \
    DEPLOYBOT_CONFIG=/etc/deploybot/bot.toml
USER 10001:10001
WORKDIR /var/lib/deploybot
VOLUME /var/lib/deploybot
HEALTHCHECK --interval=30s --timeout=15s --start-period=30s --retries=3 CMD ["deploybot", "ping"]
ENTRYPOINT ["deploybot"]
CMD ["run"]
