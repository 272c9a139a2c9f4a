# An image with the static program, the certificates of public authorities, and nothing else.
# docs/install.md says how to run it.

FROM rust:1.95-slim-bookworm AS build
# One release of Debian changes no more than it must.
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install -y --no-install-recommends ca-certificates musl-tools \
    && rm -rf /var/lib/apt/lists/* \
    && rustup target add "$(uname -m)-unknown-linux-musl"
WORKDIR /source
COPY . .
# There is no debugger in the image that could use the debug symbols.
ENV CARGO_PROFILE_RELEASE_STRIP=true
RUN target="$(uname -m)-unknown-linux-musl" \
    && cargo build --release --locked --target "$target" \
    && install -D "target/$target/release/tollgate" /image/usr/bin/tollgate \
    && install -D -m 644 /etc/ssl/certs/ca-certificates.crt /image/etc/ssl/certs/ca-certificates.crt \
    && install -d /store

FROM scratch
COPY --from=build /image/ /
# For path = "/var/lib/tollgate" in [store]: the one place that is written to.
COPY --from=build --chown=65532:65532 --chmod=700 /store /var/lib/tollgate
VOLUME /var/lib/tollgate
USER 65532:65532
ENTRYPOINT ["/usr/bin/tollgate"]
CMD ["serve", "--config", "/etc/tollgate/config.toml"]
