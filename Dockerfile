# khichdi on a processor: `docker build -t khichdi .`
#
#   docker run --rm -v "$PWD:/work" khichdi run quickstart
#
# The first stage builds a wheel and a virtual environment; the image takes that environment alone.
FROM python:3.11.14-slim-bookworm AS build

ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1
WORKDIR /src
COPY . .
RUN python -m venv /opt/khichdi
# torch without CUDA comes from torch's own index; everything else as in constraints.txt, from PyPI.
ARG TORCH_INDEX=https://download.pytorch.org/whl/cpu
RUN torch="$(grep '^torch==' constraints.txt)" \
    && /opt/khichdi/bin/pip install -c constraints.txt --extra-index-url "$TORCH_INDEX" "$torch"
RUN /opt/khichdi/bin/pip install -c constraints.txt ".[train,serve,proof,completion]" \
    && /opt/khichdi/bin/recipe --version

FROM python:3.11.14-slim-bookworm

RUN useradd --create-home --uid 1000 cook && mkdir /work && chown cook /work
COPY --from=build /opt/khichdi /opt/khichdi
ENV PATH=/opt/khichdi/bin:$PATH
USER 1000
WORKDIR /work
ENTRYPOINT ["recipe"]
CMD ["--help"]
