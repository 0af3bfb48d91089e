# A static binary in an empty image: no shell, no root, one volume for a SQLite database and its keyring.
FROM golang:1.26 AS build
WORKDIR /src
COPY go.mod go.sum ./
RUN go mod download
COPY . .
RUN CGO_ENABLED=0 go build -trimpath -ldflags="-s -w" -o /out/sparekey ./cmd/sparekey && mkdir -p /out/data

FROM scratch
COPY --from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/
COPY --from=build /out/sparekey /sparekey
COPY --from=build --chown=65532:65532 /out/data /data
USER 65532:65532
WORKDIR /data
VOLUME /data
EXPOSE 8080
HEALTHCHECK --interval=10s --timeout=3s --start-period=5s CMD ["/sparekey", "health", "http://127.0.0.1:8080/readyz"]
ENTRYPOINT ["/sparekey"]
CMD ["serve", "--config", "/data/sparekey.yaml"]
