# Two stages: the first makes the folder, the second holds nothing but Python and that folder.
# It needs an outside Postgres and Redis: DATABASE_URL, REDIS_URL, MALL_ADMIN_PASSWORD.
#
# The base image by digest goes here, so that a build is the same tomorrow (`docker buildx imagetools inspect
# python:3.13-slim-bookworm` tells it):
#   docker build --build-arg PYTHON_IMAGE=python:3.13-slim-bookworm@sha256:... .
ARG PYTHON_IMAGE=python:3.13-slim-bookworm

FROM ${PYTHON_IMAGE} AS build
WORKDIR /src
# First what seldom changes: a change of the program then costs no download.
COPY config/deploy/image.sh config/deploy/
COPY config/locks/serving.txt config/locks/
RUN sh config/deploy/image.sh environment /src /srv/mall
COPY config/locks/pages.txt config/locks/
COPY api/pages/package.json api/pages/package-lock.json api/pages/.npmrc api/pages/install.py api/pages/
RUN sh config/deploy/image.sh pages /src /srv/mall
COPY config config
COPY actors actors
COPY storage storage
COPY dispatch dispatch
COPY api api
COPY run.py ./
RUN sh config/deploy/image.sh program /src /srv/mall

FROM ${PYTHON_IMAGE}
LABEL org.opencontainers.image.title="Mall Delivery Dispatch" \
      org.opencontainers.image.licenses="MIT"
ENV PATH=/srv/mall/environment/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    MALL_HOST=0.0.0.0 \
    MALL_OPS_HOST=0.0.0.0 \
    MALL_LOG_FORMAT=json
RUN useradd --system --uid 10001 --no-create-home mall
WORKDIR /srv/mall/program
COPY --from=build /srv/mall /srv/mall
USER 10001
EXPOSE 8080 8081
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=3s --start-period=60s --start-interval=2s \
    CMD ["bash", "/srv/mall/alive.sh"]
ENTRYPOINT ["python", "run.py"]
CMD ["serve"]
