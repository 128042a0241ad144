# One image for the gate and the sidecar of a task: command ["efs-init"], or the default.
#
#   docker build -t efs-sidecar .
#
# UID and GID are who runs it. With an access point that enforces an identity it is that
# identity that EFS sees, whatever they are; without one they are what EFS sees.
FROM debian:bookworm-slim AS build
COPY tests/deps /src/tests/deps
RUN /src/tests/deps build
COPY . /src
RUN make -C /src -j2 BUILD=/build all \
 && make -C /src BUILD=/build PREFIX=/usr DESTDIR=/image install

FROM debian:bookworm-slim
ARG UID=1000
ARG GID=1000
RUN apt-get update \
 && apt-get install -y --no-install-recommends \
        ca-certificates libcurl4 libevent-core-2.1-7 libexpat1 libinotifytools0 libjansson4 libmount1 libseccomp2 zlib1g \
 && rm -rf /var/lib/apt/lists/* /var/cache/apt/* /var/log/apt /var/log/dpkg.log \
 && install -d -m 0777 /run/efs-sidecar /opt/efs-sidecar /var/cache/efs-sidecar
COPY --from=build /image /

# An empty volume takes over owner and mode of the directory in the image, so whoever gate and sidecar run as can write to
# those of the task, and the app, whoever it runs as, finds the socket, efsctl and the cache. Not sticky: then the kernel would
# not let the app follow the sidecar's links. The app gets the first two read-only. The socket is open to all of the task:
# nobody else reaches the volume. EFS_SIDECAR_API_UIDS narrows it.
ENV EFS_SIDECAR_API_MODE=0666
VOLUME ["/run/efs-sidecar", "/opt/efs-sidecar", "/var/cache/efs-sidecar"]
USER $UID:$GID
CMD ["efs-sidecar"]
