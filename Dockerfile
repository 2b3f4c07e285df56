# leased in a container (docs/how-to/docker.md): docker build -t leased .
# Its steps are those of CI: tests/integration/test_docker.py holds them to that, and runs what they install in this layout.
FROM debian:12-slim AS build
WORKDIR /src
COPY scripts/packages scripts/packages
RUN scripts/packages --install build
COPY . .
RUN cmake --preset release
RUN cmake --build --preset release
RUN DESTDIR=/image cmake --install build/release --prefix /usr

# A server with nobody in it but whom the SSH certificates of its authority name, to be tried beside leased (docker-compose.yml).
FROM debian:12-slim AS sshd
COPY scripts/packages /src/scripts/packages
RUN /src/scripts/packages --install sshd && rm -rf /src /var/lib/apt/lists/*
COPY packaging/docker/sshd_config /etc/ssh/sshd_config
RUN useradd --create-home --shell /bin/bash app && install -d -m 755 /run/sshd /trust && rm -f /etc/ssh/ssh_host_*
EXPOSE 22
CMD ["/bin/sh", "-c", "ssh-keygen -A && exec /usr/sbin/sshd -D -e"]

FROM debian:12-slim AS leased
COPY scripts/packages packaging/docker/layout /src/scripts/
RUN /src/scripts/packages --install run && /src/scripts/layout && rm -rf /src /var/lib/apt/lists/*
COPY --from=build /image/ /
COPY packaging/docker/leased.hcl /etc/leased/leased.hcl
USER leased
VOLUME ["/var/lib/leased", "/var/log/leased", "/etc/leased/key"]
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=5s --start-period=30s --retries=3 CMD lease status --timeout 3 || exit 1
ENTRYPOINT ["/usr/bin/leased"]
CMD ["-config", "/etc/leased/leased.hcl"]
