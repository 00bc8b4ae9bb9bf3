# SPDX-License-Identifier: Apache-2.0
# Three images: `--target oompolicy` (operator and agent), `oompolicy-loader` and `oompolicy-debug`. See docs/images.md.
# There is no `# syntax=` line, because it would fetch a frontend from a registry. BuildKit's own frontend is enough.
ARG BASE=debian:trixie-slim

# The base of all stages: Debian with the versions of image/debian.lock, independent of the date of the base image.
FROM ${BASE} AS debian
# With "today", the build uses the current versions of the archive instead of the locked versions.
ARG PACKAGES=locked
RUN --mount=type=bind,source=image,target=/image --mount=type=secret,id=apt.conf \
	--mount=type=secret,id=apt.sources --mount=type=secret,id=ca.pem \
	/image/install --upgrade

FROM debian AS bpf
ARG PACKAGES
RUN --mount=type=bind,source=image,target=/image --mount=type=secret,id=apt.conf \
	--mount=type=secret,id=apt.sources --mount=type=secret,id=ca.pem \
	/image/install make clang llvm libbpf-dev linux-bpf-dev
COPY bpf /bpf
RUN make -C /bpf OUT=/objects

FROM debian AS pip
ARG PACKAGES
RUN --mount=type=bind,source=image,target=/image --mount=type=secret,id=apt.conf \
	--mount=type=secret,id=apt.sources --mount=type=secret,id=ca.pem \
	/image/install python3 python3-venv
RUN --mount=type=bind,source=image,target=/image --mount=type=secret,id=pip.conf --mount=type=secret,id=ca.pem \
	python3 -m venv /tools && /image/pip /tools/bin/python tools.txt

# A virtual environment without pip. The final images copy it unchanged.
FROM pip AS python
RUN --mount=type=bind,source=image,target=/image --mount=type=secret,id=pip.conf --mount=type=secret,id=ca.pem \
	python3 -m venv --without-pip /opt/oompolicy && /image/pip /opt/oompolicy/bin/python requirements.txt && \
	/image/trim /opt/oompolicy/lib/python3.13/site-packages
COPY pyproject.toml /src/
COPY LICENSES /src/LICENSES
COPY operator /src/operator
COPY agent /src/agent
RUN --mount=type=bind,source=image,target=/image /image/wheel /src /opt/oompolicy
COPY --from=bpf /objects /opt/oompolicy/lib/python3.13/site-packages/oompolicy_agent/bpf

FROM debian AS runtime
ARG PACKAGES
RUN --mount=type=bind,source=image,target=/image --mount=type=secret,id=apt.conf \
	--mount=type=secret,id=apt.sources --mount=type=secret,id=ca.pem \
	/image/install python3 libbpf1
COPY --from=python /opt/oompolicy /opt/oompolicy
RUN --mount=type=bind,source=image,target=/image PYTHONHASHSEED=0 /opt/oompolicy/bin/python -B /image/compile.py
# kopf needs the user's name. Neither uid 41317 nor a uid that a cluster assigns has a name.
ENV LOGNAME=oompolicy
ENV PATH=/opt/oompolicy/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin

# This stage builds on the other image, so that a node with that image fetches only the difference.
FROM runtime AS tools
ARG PACKAGES
# Debian's kernel headers need gcc-14, pahole and the libraries of kbuild's own programs (objtool, resolve_btfids,
# sign-file): docs/images.md.
RUN --mount=type=bind,source=image,target=/image --mount=type=secret,id=apt.conf \
	--mount=type=secret,id=apt.sources --mount=type=secret,id=ca.pem \
	/image/install bpftool kmod make gcc-14 dwarves libelf1t64 libssl3t64 zlib1g
# A node's headers may have absolute links to its /usr/src, and the node's /usr is mounted at /host/usr.
RUN rmdir /usr/src && ln -s /host/usr/src /usr/src
COPY kernel/module /opt/oompolicy/module

# The witness needs bcc and with it LLVM, which the other images do not have. All of its Python comes from Debian.
FROM debian AS debug
ARG PACKAGES
RUN --mount=type=bind,source=image,target=/image --mount=type=secret,id=apt.conf \
	--mount=type=secret,id=apt.sources --mount=type=secret,id=ca.pem \
	/image/install python3 python3-bpfcc python3-rich
COPY debug /opt/oompolicy
RUN ln -s /opt/oompolicy/oompolicy-trace /usr/local/bin/

FROM pip AS sbom
ARG SOURCE_DATE_EPOCH
ARG VERSION
RUN --mount=type=bind,target=/source --mount=type=bind,from=runtime,target=/root-of \
	/source/image/sbom oompolicy "$VERSION" /root-of >/oompolicy.cdx.json

FROM pip AS sbom-loader
ARG SOURCE_DATE_EPOCH
ARG VERSION
RUN --mount=type=bind,target=/source --mount=type=bind,from=tools,target=/root-of \
	/source/image/sbom oompolicy-loader "$VERSION" /root-of >/oompolicy-loader.cdx.json

FROM pip AS sbom-debug
ARG SOURCE_DATE_EPOCH
ARG VERSION
RUN --mount=type=bind,target=/source --mount=type=bind,from=debug,target=/root-of \
	/source/image/sbom oompolicy-debug "$VERSION" /root-of >/oompolicy-debug.cdx.json

# The input of `python3 -m tests.image.lock`.
FROM scratch AS versions
COPY --from=bpf /var/lib/dpkg/status /bpf
COPY --from=pip /var/lib/dpkg/status /pip
COPY --from=tools /var/lib/dpkg/status /tools
COPY --from=debug /var/lib/dpkg/status /debug

FROM runtime AS oompolicy
ARG VERSION
COPY --from=sbom /oompolicy.cdx.json /opt/oompolicy/sbom.cdx.json
LABEL org.opencontainers.image.title="oompolicy" \
	org.opencontainers.image.description="Operator and agent: the order in which the kernel's OOM killer takes pods" \
	org.opencontainers.image.version="$VERSION" \
	org.opencontainers.image.licenses="Apache-2.0 AND GPL-2.0-only" \
	org.opencontainers.image.base.name="docker.io/library/debian:trixie-slim"
USER 41317:41317
CMD ["oompolicy-agent", "--help"]

FROM tools AS oompolicy-loader
ARG VERSION
COPY --from=sbom-loader /oompolicy-loader.cdx.json /opt/oompolicy/sbom.cdx.json
LABEL org.opencontainers.image.title="oompolicy-loader" \
	org.opencontainers.image.description="Loader: installs hook, program and maps in a node's kernel, and exits" \
	org.opencontainers.image.version="$VERSION" \
	org.opencontainers.image.licenses="Apache-2.0 AND GPL-2.0-only" \
	org.opencontainers.image.base.name="docker.io/library/debian:trixie-slim"
ENTRYPOINT ["oompolicy-loader"]
CMD ["--help"]

FROM debug AS oompolicy-debug
ARG VERSION
COPY --from=sbom-debug /oompolicy-debug.cdx.json /opt/oompolicy/sbom.cdx.json
LABEL org.opencontainers.image.title="oompolicy-debug" \
	org.opencontainers.image.description="Witness: shows every decision of a node's OOM killer as it happens" \
	org.opencontainers.image.version="$VERSION" \
	org.opencontainers.image.licenses="Apache-2.0 AND GPL-2.0-only" \
	org.opencontainers.image.base.name="docker.io/library/debian:trixie-slim"
ENTRYPOINT ["oompolicy-trace"]
