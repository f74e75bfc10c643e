#!/usr/bin/env bash
# Whether the process in this container is alive, for the image's HEALTHCHECK. Asked every ten seconds, so it starts no
# Python: bash alone speaks the few words of HTTP.
set -eu
exec 3<> "/dev/tcp/127.0.0.1/${MALL_OPS_PORT:-8081}"
printf 'GET /health/liveness HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n' >&3
read -r -t 2 status <&3
[[ $status == "HTTP/1.1 200 "* ]]
