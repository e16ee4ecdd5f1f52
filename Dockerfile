# SpotScan's page in a container: `docker build --tag spotscan .`, then as docs/deploy.md says.
FROM python:3.12-slim AS build
WORKDIR /src
COPY pyproject.toml README.md LICENSE ./
COPY spotscan ./spotscan
RUN python -m venv /opt/spotscan && /opt/spotscan/bin/pip install --no-cache-dir ".[app]"

FROM python:3.12-slim
LABEL org.opencontainers.image.title="SpotScan" org.opencontainers.image.licenses="Apache-2.0"
COPY --from=build /opt/spotscan /opt/spotscan
# /tmp is the only place anything may be written to; the root may be read-only.
ENV PATH=/opt/spotscan/bin:$PATH HOME=/tmp PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1
USER 10001:10001
WORKDIR /tmp
EXPOSE 8501
HEALTHCHECK --interval=30s --timeout=5s --start-period=30s --retries=3 \
    CMD ["python", "-c", "import urllib.request as u; u.urlopen('http://localhost:8501/_stcore/health', timeout=4)"]
# 0.0.0.0 is inside the container only: who reaches it is decided by `docker run --publish`.
CMD ["spotscan", "app", "--host", "0.0.0.0", "--port", "8501", "--no-browser"]
