# One image for the gate and the sidecar of a task: command ["efs-init"], or the default.
#
#   make image                       with what engine there is, also where no registry can be reached
#   docker build -t efs-sidecar .
#
#   DEBIAN          the release, bookworm or trixie. No runtime package is named here: image/packages finds their names in it
#   BASE            what stands in for debian:RELEASE-slim
#   UID, GID        who runs it. With an access point that enforces an identity it is that identity that EFS sees, whatever
#                   they are; without one they are what EFS sees
#   VERSION         what the programs and the labels say; the Makefile has the same
#   REVISION        the commit, for the labels
ARG DEBIAN=bookworm
ARG BASE=debian:$DEBIAN-slim
ARG VERSION=0.2.0

FROM $BASE AS build
COPY tests/deps /src/tests/deps
RUN /src/tests/deps build
COPY . /src
ARG VERSION
RUN make -C /src -j"$(nproc)" BUILD=/build VERSION=$VERSION PREFIX=/usr DESTDIR=/image install \
 && rm -r /image/usr/share/man \
 && strip --strip-unneeded /image/usr/bin/* /image/usr/lib/efs-sidecar/* \
 && install -m 644 /src/image/NOTICE /image/usr/share/doc/efs-sidecar \
 && /src/image/packages /image /src >/packages

# An empty volume takes over owner, mode and content of the directory in the image: whoever gate and sidecar run as can write
# to those of the task, and no other user can replace what they made there. In a sticky directory the kernel lets others follow
# only links of its owner: the one in the run directory is, and leads to the sidecar's. The app gets the first two read-only.
FROM $BASE AS runtime
COPY --from=build /packages /usr/share/efs-sidecar/packages
RUN apt-get update \
 && DEBIAN_FRONTEND=noninteractive xargs apt-get install -y --no-install-recommends </usr/share/efs-sidecar/packages \
 && find / -xdev -type f -perm /6000 -exec chmod a-s {} + \
 && rm -rf /var/lib/apt/lists/* /var/cache/apt/* /var/cache/ldconfig/* /var/cache/debconf/*-old /var/lib/dpkg/*-old /var/log/apt /var/log/*.log \
 && install -d -m 1777 /opt/efs-sidecar /var/cache/efs-sidecar
ARG UID=1000
ARG GID=1000
RUN install -d -m 1777 -o $UID -g $GID /run/efs-sidecar \
 && ln -s mounts/.task /run/efs-sidecar/task \
 && chown -h $UID:$GID /run/efs-sidecar/task

FROM build AS sbom
COPY --from=runtime /var/lib/dpkg /dpkg
ARG VERSION
ARG SOURCE_DATE_EPOCH=0
RUN install -d /image/usr/share/efs-sidecar \
 && SOURCE_DATE_EPOCH=$SOURCE_DATE_EPOCH /src/image/sbom /dpkg /image $VERSION >/image/usr/share/efs-sidecar/sbom.spdx.json

FROM runtime
COPY --from=sbom /image /
# No HEALTHCHECK: ECS knows only the task definition's, and the gate has none. It is CMD efsctl health.
# The socket is open to all of the task: nobody else reaches the volume. EFS_SIDECAR_API_UIDS narrows it.
ENV EFS_SIDECAR_API_MODE=0666
VOLUME ["/run/efs-sidecar", "/opt/efs-sidecar", "/var/cache/efs-sidecar"]
ARG UID=1000
ARG GID=1000
USER $UID:$GID
CMD ["efs-sidecar"]
ARG VERSION
ARG REVISION
LABEL org.opencontainers.image.title="efs-sidecar" \
      org.opencontainers.image.description="Gate and sidecar for ECS tasks that mount Amazon EFS" \
      org.opencontainers.image.version="$VERSION" \
      org.opencontainers.image.revision="$REVISION" \
      org.opencontainers.image.licenses="MIT AND GPL-2.0-only AND LGPL-2.1-or-later"
