# edgekit in a container, on x86-64 and on arm64 (a Raspberry Pi), without root, working in /work:
#
#   docker build -t edgekit .                       base and LiteRT: bench, verify and inspect .tflite files
#   docker build -t edgekit:full --target full .    every extra, to export as well
#   docker run --rm --user "$(id -u)" -v "$PWD:/work" edgekit bench exported/mobilenet_v2_1.0_224.int8.tflite
#
# For Linux, the torch of the default index brings CUDA with it, gigabytes that nothing here uses. An index of CPU
# builds avoids that: --build-arg TORCH_INDEX=URL. On arm64, where coremltools has no wheel, full lacks Core ML.
#
# Checked with hadolint, and by building both with buildah on x86-64 and running their commands. Debian bookworm with
# its own Python 3.11 stood in for the base image; to that, the small one added 189 MB and the full one 1.25 GB. For
# arm64 it was checked that every package has a wheel; nothing was run.

FROM python:3.11-slim-bookworm AS base
LABEL org.opencontainers.image.title="edgekit" \
      org.opencontainers.image.description="Quantize a MobileNet once, ship the same integers, and prove it." \
      org.opencontainers.image.licenses="Apache-2.0"
ENV PATH=/opt/edgekit/bin:$PATH
RUN useradd --create-home --uid 1000 edgekit && install --directory --owner edgekit /work
WORKDIR /work

FROM base AS wheel
WORKDIR /source
COPY . .
RUN pip wheel --no-cache-dir --no-deps --wheel-dir /wheels .

FROM wheel AS full-packages
ARG TORCH_INDEX=""
RUN python -m venv --without-pip /opt/edgekit && set -- /wheels/edgekit-*.whl && \
    pip --python /opt/edgekit/bin/python install --no-cache-dir --constraint constraints.txt \
        ${TORCH_INDEX:+--extra-index-url "$TORCH_INDEX"} "$1[all]"

FROM wheel AS runtime-packages
RUN python -m venv --without-pip /opt/edgekit && set -- /wheels/edgekit-*.whl && \
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
