"""Validates a deposit with roc-validator and prints what it finds: `python ro_crate.py FOLDER`.

Needs the packages roc-validator and rocrate. Works without a network: the context of RO-Crate 1.1 is put together from the
terms of schema.org that rocrate brings, and the terms that RO-Crate 1.1 adds to them.
"""

import json
import pathlib
import sys
from unittest import mock

import requests
import rocrate
from rocrate_validator import services
from rocrate_validator.models import Severity

CONTEXT = "https://w3id.org/ro/crate/1.1/context"
ADDED = {
    "File": "http://schema.org/MediaObject",
    "path": "http://schema.org/contentUrl",
    "Journal": "http://schema.org/Periodical",
    "cite-as": "https://www.w3.org/ns/iana/link-relations/relation#cite-as",
    "conformsTo": "http://purl.org/dc/terms/conformsTo",
    "ComputationalWorkflow": "https://bioschemas.org/ComputationalWorkflow",
    "FormalParameter": "https://bioschemas.org/FormalParameter",
    "input": "https://bioschemas.org/ComputationalWorkflow#input",
    "output": "https://bioschemas.org/ComputationalWorkflow#output",
}


def terms():
    schema = pathlib.Path(rocrate.__file__).parent / "data" / "schema.jsonld"
    ids = [node["@id"] for node in json.loads(schema.read_text())["@graph"]]
    names = [of.removeprefix("schema:") for of in ids if of.startswith("schema:")]
    return {"@context": {**{name: f"http://schema.org/{name}" for name in names}, **ADDED}}


def main(folder):
    """Says 0 when nothing that RO-Crate requires is missing."""
    real = requests.Session.send

    def send(session, request, **how):
        if request.url != CONTEXT:
            return real(session, request, **how)
        response = requests.Response()
        response.status_code, response.url, response.request = 200, CONTEXT, request
        response.headers["Content-Type"] = "application/ld+json"
        response._content = json.dumps(terms()).encode()
        return response

    with mock.patch.object(requests.Session, "send", send):
        result = services.validate(
            services.ValidationSettings(
                rocrate_uri=folder,
                profile_identifier="ro-crate-1.1",
                requirement_severity=Severity.REQUIRED,
                no_cache=True,
            )
        )
    for issue in result.get_issues():
        print(issue.severity.name, issue.check.identifier, issue.message)
    print("passed" if result.passed() else "failed", len(result.get_issues()), "issues")
    return 0 if result.passed() else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
