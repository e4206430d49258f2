#!/usr/bin/python3
"""Makes strict JSON schemas, one a kind, for kubeconform, of Kubernetes' own API description.

    kube_schemas.py FOLDER SWAGGER_JSON [CRD_YAML …]

Each schema stands alone: references are written out (what refers to itself ends as any object). Strict
means: a field that the API does not know is wrong, as it would be for the API server with strict checking.
A field that need not be there may be null. File names are those kubeconform asks for by
`{{.ResourceKind}}{{.KindSuffix}}`.
"""
import json
import os
import sys

import yaml


class Schemas:
    def __init__(self, definitions):
        self.definitions = definitions

    def strict(self, node, above):
        """The node with references written out; `above` are the definitions it is part of."""
        if isinstance(node, list):
            return [self.strict(x, above) for x in node]
        if not isinstance(node, dict):
            return node
        if isinstance(node.get("$ref"), str):
            name = node["$ref"].rsplit("/", 1)[1]
            if name in above:
                return {"type": "object"}
            return self.strict(self.definitions[name], above | {name})
        if node.get("format") == "int-or-string":
            return {"type": ["string", "integer"]}
        out = {k: self.strict(v, above) for k, v in node.items() if not k.startswith("x-kubernetes")}
        fields = out.get("properties")
        if isinstance(fields, dict) and node.get("type", "object") == "object":
            out["additionalProperties"] = False
            for name, field in fields.items():
                if name not in out.get("required", []) and isinstance(field.get("type"), str):
                    field["type"] = [field["type"], "null"]
        return out

    def kinds(self):
        """(group, version, kind, schema) of everything that can stand in a manifest."""
        for name, definition in self.definitions.items():
            for what in definition.get("x-kubernetes-group-version-kind", []):
                schema = self.strict(definition, {name})
                if "kind" in schema.get("properties", {}):
                    yield what["group"], what["version"], what["kind"], schema


def kinds_of_crd(crd):
    """The same of a custom resource; what every object has is not in its own description."""
    for version in crd["spec"]["versions"]:
        schema = version["schema"]["openAPIV3Schema"]
        schema["properties"]["metadata"] = {"type": "object"}
        strict = Schemas({}).strict(schema, set())
        yield crd["spec"]["group"], version["name"], crd["spec"]["names"]["kind"], strict


def main():
    folder, swagger, *crds = sys.argv[1:]
    with open(swagger, encoding="utf-8") as f:
        kinds = list(Schemas(json.load(f)["definitions"]).kinds())
    for name in crds:
        with open(name, encoding="utf-8") as f:
            kinds += kinds_of_crd(yaml.safe_load(f))
    os.makedirs(folder, exist_ok=True)
    for group, version, kind, schema in kinds:
        full = f"{group}/{version}" if group else version
        schema["properties"]["kind"] = {"type": "string", "enum": [kind]}
        schema["properties"]["apiVersion"] = {"type": "string", "enum": [full]}
        short = group.split(".")[0]
        name = "-".join([kind.lower()] + ([short] if short else []) + [version.lower()])
        with open(os.path.join(folder, name + ".json"), "w", encoding="utf-8") as f:
            json.dump(schema, f)


if __name__ == "__main__":
    main()
