# edgekit in a container, on x86-64 and on arm64 (a Raspberry Pi), without root, working in /work:
#
#   docker build -t edgekit .                       base and LiteRT: bench, verify and inspect .tflite files
#   docker build -t edgekit:full --target full .    every extra, to export as well
#   docker run --rm --user "$(id -u)" -v "$PWD:/work" edgekit bench exported/mobilenet_v2_1.0_224.int8.tflite
#
# For Linux, the torch of the default index brings CUDA with it, gigabytes that nothing here uses. An index of CPU
# builds avoids that: --build-arg TORCH_INDEX=URL. On arm64, where coremltools has no wheel, full lacks Core ML.
#
# Checked with hadolint; the small one also by building it with buildah on x86-64, from a Debian bookworm of debootstrap
# with what the slim image leaves out left out, and running its commands: 316 MB unpacked. For arm64, the same stage was
# put together as a root folder, of Debian's packages and of the wheels that pip chooses, byte code included: 317 MB, 172
# of them edgekit's. In it, as user 1000 on an emulated Cortex-A76, inspect, verify (identical logits) and bench ran.
# full was not built since its base became Debian's own image; before, it added 1.25 GB on x86-64.

FROM debian:bookworm-slim AS base
LABEL org.opencontainers.image.title="edgekit" \
      org.opencontainers.image.description="Quantize a MobileNet once, ship the same integers, and prove it." \
      org.opencontainers.image.licenses="Apache-2.0"
ENV PATH=/opt/edgekit/bin:$PATH
# hadolint ignore=DL3008
RUN apt-get update && apt-get install --yes --no-install-recommends python3 && \
    apt-get clean && rm -rf /var/lib/apt/lists/*
RUN useradd --create-home --uid 1000 edgekit && install --directory --owner edgekit /work
WORKDIR /work

FROM base AS wheel
# hadolint ignore=DL3008
RUN apt-get update && apt-get install --yes --no-install-recommends python3-pip && \
    rm -rf /var/lib/apt/lists/*
WORKDIR /source
COPY . .
RUN pip wheel --no-cache-dir --no-deps --wheel-dir /wheels .

FROM wheel AS full-packages
ARG TORCH_INDEX=""
RUN python3 -m venv --without-pip /opt/edgekit && set -- /wheels/edgekit-*.whl && \
    pip --python /opt/edgekit/bin/python install --no-cache-dir --constraint constraints.txt \
        ${TORCH_INDEX:+--extra-index-url "$TORCH_INDEX"} "$1[all]"

FROM wheel AS runtime-packages
RUN python3 -m venv --without-pip /opt/edgekit && set -- /wheels/edgekit-*.whl && \
    pip --python /opt/edgekit/bin/python install --no-cache-dir --constraint constraints.txt "$1[tflite]"

FROM base AS full
COPY --from=full-packages /opt/edgekit /opt/edgekit
USER 1000
ENTRYPOINT ["edgekit"]
CMD ["--help"]

FROM base AS runtime
COPY --from=runtime-packages /opt/edgekit /opt/edgekit
USER 1000
ENTRYPOINT ["edgekit"]
CMD ["--help"]
