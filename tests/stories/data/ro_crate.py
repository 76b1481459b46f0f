"""Validates a deposit with roc-validator, and answers what the profile Provenance Run Crate asks: `python ro_crate.py FOLDER`.

Needs the packages roc-validator, rocrate and rdflib. Works without a network: the context of RO-Crate 1.1 is put together
from the terms of schema.org that rocrate brings, the terms that RO-Crate 1.1 adds to them, and those of Workflow Run Crate.
"""

import json
import pathlib
import sys
from unittest import mock

import rdflib
import requests
import rocrate
from rocrate_validator import services
from rocrate_validator.models import Severity

CONTEXT = "https://w3id.org/ro/crate/1.1/context"
RUN_CONTEXT = "https://w3id.org/ro/terms/workflow-run/context"
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
RUN_TERMS = "https://w3id.org/ro/terms/workflow-run#"
RUN_ADDED = {
    name: RUN_TERMS + name
    for name in ["ParameterConnection", "connection", "sourceParameter", "targetParameter", "environment", "resourceUsage"]
}
#: The profile with all that it extends: RO-Crate 1.1, Workflow RO-Crate, Process and Workflow Run Crate.
PROFILE = "provenance-run-crate-0.5"

#: The competency questions of the working group that a run without containers can answer, as SPARQL.
QUESTIONS = {
    "how much was used": "SELECT ?id ?value WHERE { ?action a s:CreateAction ; w:resourceUsage ?use . "
    "?use s:propertyID ?id ; s:unitCode ?unit ; s:value ?value }",
    "which files configured it": "SELECT ?name WHERE { ?action s:instrument ?workflow ; s:object ?file . "
    "?workflow a b:ComputationalWorkflow . ?file s:name ?name ; s:description ?about "
    'FILTER CONTAINS(STR(?about), "(params)") }',
    "how long did each component take": "SELECT ?start ?end WHERE { ?action a s:CreateAction ; s:instrument ?tool ; "
    "s:startTime ?start ; s:endTime ?end . ?tool a s:SoftwareApplication }",
    "how long did the workflow take": "SELECT ?start ?end WHERE { ?action a s:CreateAction ; s:instrument ?workflow ; "
    "s:startTime ?start ; s:endTime ?end . ?workflow a b:ComputationalWorkflow }",
    "was it successful": "SELECT ?action WHERE { ?action a s:CreateAction ; s:actionStatus s:CompletedActionStatus }",
    "what went in": "SELECT ?in WHERE { ?action s:instrument ?workflow ; s:object ?in . ?workflow a b:ComputationalWorkflow }",
    "what came out": "SELECT ?out WHERE { ?action s:instrument ?workflow ; s:result ?out . "
    "?workflow a b:ComputationalWorkflow }",
    "which version of a component": "SELECT ?name ?version WHERE { ?tool a s:SoftwareApplication ; s:name ?name ; "
    "s:softwareVersion ?version . ?step a s:HowToStep ; s:workExample ?tool }",
    "how were workflow parameters used": "SELECT ?name ?option ?value WHERE { ?step a s:HowToStep ; w:connection ?flow . "
    "?flow w:sourceParameter ?from ; w:targetParameter ?to . ?workflow a b:ComputationalWorkflow ; i:input ?from . "
    "?from s:name ?name . ?to s:name ?option . ?given s:exampleOfWork ?to ; s:value ?value . "
    "?action a s:CreateAction ; s:object ?given }",
    "from a result back to the data": "SELECT ?file WHERE { ?last a s:CreateAction ; s:result ?out . ?out a s:MediaObject . "
    "?last (s:object/^s:result)+ ?first . ?first s:object ?file . ?file s:description ?about "
    'FILTER CONTAINS(STR(?about), "(input)") }',
}
PREFIXES = (
    "PREFIX s: <http://schema.org/> PREFIX b: <https://bioschemas.org/> "
    "PREFIX i: <https://bioschemas.org/ComputationalWorkflow#> PREFIX w: <https://w3id.org/ro/terms/workflow-run#> "
)


def terms():
    schema = pathlib.Path(rocrate.__file__).parent / "data" / "schema.jsonld"
    ids = [node["@id"] for node in json.loads(schema.read_text())["@graph"]]
    names = [of.removeprefix("schema:") for of in ids if of.startswith("schema:")]
    return {**{name: f"http://schema.org/{name}" for name in names}, **ADDED}


def main(folder):
    """Says 0 when nothing that the profiles require is missing, and every question has an answer."""
    contexts = {CONTEXT: terms(), RUN_CONTEXT: RUN_ADDED}
    real = requests.Session.send

    def send(session, request, **how):
        if request.url not in contexts:
            return real(session, request, **how)
        response = requests.Response()
        response.status_code, response.url, response.request = 200, request.url, request
        response.headers["Content-Type"] = "application/ld+json"
        response._content = json.dumps({"@context": contexts[request.url]}).encode()
        return response

    wrong = 0
    with mock.patch.object(requests.Session, "send", send):
        result = services.validate(
            services.ValidationSettings(
                rocrate_uri=folder,
                profile_identifier=PROFILE,
                enable_profile_inheritance=True,
                requirement_severity=Severity.REQUIRED,
                no_cache=True,
            )
        )
    for issue in result.get_issues():
        print(issue.severity.name, issue.check.identifier, issue.message)
    wrong += not result.passed()
    print(PROFILE, "passed" if result.passed() else "failed", len(result.get_issues()), "issues")

    crate = json.loads((pathlib.Path(folder) / "ro-crate-metadata.json").read_text())
    crate["@context"] = [contexts[url] for url in crate["@context"]]
    graph = rdflib.Graph().parse(data=json.dumps(crate), format="json-ld", base="http://crate/")
    for question, query in QUESTIONS.items():
        answers = len(list(graph.query(PREFIXES + query)))
        wrong += answers == 0
        print(f"{question}: {answers} answers")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
