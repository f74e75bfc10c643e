# Two stages: the first builds wheels, the second holds nothing but Python, them and us.
# It needs an outside Postgres and Redis: DATABASE_URL, REDIS_URL, MALL_ADMIN_PASSWORD.
FROM python:3.13-slim-bookworm AS build
WORKDIR /build
COPY setup.cfg pyproject.toml README.md LICENSE ./
COPY config config
COPY actors actors
COPY storage storage
COPY dispatch dispatch
COPY api api
COPY loadtests loadtests
RUN python -m venv /venv \
    && /venv/bin/pip install --no-cache-dir --disable-pip-version-check . \
    && /venv/bin/pip uninstall --yes mall-delivery-dispatch pip

FROM python:3.13-slim-bookworm
LABEL org.opencontainers.image.title="Mall Delivery Dispatch" \
      org.opencontainers.image.licenses="MIT"
ENV PATH=/venv/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    MALL_HOST=0.0.0.0 \
    MALL_OPS_HOST=0.0.0.0 \
    MALL_LOG_FORMAT=json
RUN useradd --system --uid 10001 --no-create-home mall
WORKDIR /srv/mall
COPY --from=build /venv /venv
COPY config config
COPY actors actors
COPY storage storage
COPY dispatch dispatch
COPY api api
COPY run.py ./
USER 10001
EXPOSE 8080 8081
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=3s --start-period=30s \
    CMD ["python", "-c", "import urllib.request as u; u.urlopen('http://127.0.0.1:8081/health/liveness', timeout=2)"]
ENTRYPOINT ["python", "run.py"]
CMD ["serve"]
