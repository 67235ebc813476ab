# The gateway alone: stateless, not root, no secrets inside. Configuration and secrets are mounted:
#
#   docker build -t pgnym .
#   docker run -p 6432:6432 -v ./config:/etc/pgnym:ro -e PGNYM_MASTER_KEY -e PGNYM_VAULT_PASSWORD pgnym
#
# Inside a container the gateway must listen on more than the loopback, and that needs TLS: see
# config/separate-vault.yaml. Run `pgnym plan` and `pgnym apply` with the same image, as the database's owner.

FROM python:3.12-slim AS build
WORKDIR /src
COPY pyproject.toml README.md LICENSE ./
COPY src ./src
RUN python -m venv /opt/pgnym && /opt/pgnym/bin/pip install --no-cache-dir .

FROM python:3.12-slim
RUN useradd --system --uid 10001 --no-create-home --shell /usr/sbin/nologin pgnym
COPY --from=build /opt/pgnym /opt/pgnym
ENV PATH=/opt/pgnym/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1
USER pgnym
WORKDIR /etc/pgnym
EXPOSE 6432 8432
STOPSIGNAL SIGTERM

# Asks as a client would: an SSLRequest (PostgreSQL protocol, "SSL Session Encryption") gets a one-byte answer.
HEALTHCHECK --interval=10s --timeout=3s --start-period=10s --retries=3 CMD ["python", "-c", "\
import os, socket; \
s = socket.create_connection(('127.0.0.1', int(os.environ.get('PGNYM_HEALTH_PORT', '6432'))), 2); \
s.sendall(bytes.fromhex('0000000804d2162f')); \
raise SystemExit(s.recv(1) not in (b'S', b'N'))"]

ENTRYPOINT ["pgnym"]
CMD ["serve", "--config", "/etc/pgnym/pgnym.yaml"]
