# The control binary, and the filter beside it: what serve, bootstrap, certgen and shutdown-manager run from.
#
#   docker build -t REGISTRY/switchyard:0.1.0 .
FROM rust:1-trixie AS build
WORKDIR /switchyard
COPY . .
RUN ./wasm-build.sh && cargo build --locked --release -p switchyard

FROM debian:trixie-slim
# The CAs that issuers of tokens are known by.
COPY --from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/
COPY --from=build /switchyard/target/release/switchyard /switchyard/target/wasm/switchyard.wasm /usr/local/bin/
# Each further arena of malloc keeps what was freed at the start, when all objects are read.
ENV MALLOC_ARENA_MAX=2
USER 65532:65532
ENTRYPOINT ["switchyard"]
