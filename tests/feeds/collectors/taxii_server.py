"""medallion, OASIS' own TAXII 2.1 server, as a process: `python taxii_server.py PORT CONFIG`.

Three of its filters compare every object with every other, which takes minutes for 10,000 objects;
here they use a dictionary. Everything else, above all its pages and its `next`, is medallion's.
"""

import json
import sys
from functools import cache
from pathlib import Path

from medallion import application_instance, common, register_blueprints, set_config
from medallion.filters import basic_filter
from medallion.filters.basic_filter import BasicFilter

when = cache(common.string_to_datetime)


def key(entry: dict) -> tuple:
    return entry["id"], entry.get("version") or entry.get("modified") or entry["created"]


def sort_and_paginate(_self, data, limit, manifest):
    if not manifest:  # the manifest's own pages
        return quadratic(_self, data, limit, manifest)
    if not data:
        return [], {}, {}
    by_key = {key(stix_object): stix_object for stix_object in data}
    manifest.sort(key=lambda entry: entry["date_added"])
    listed = [entry for entry in manifest if key(entry) in by_key]
    page = listed[:limit] if limit else listed
    headers = {
        "X-TAXII-Date-Added-First": page[0]["date_added"],
        "X-TAXII-Date-Added-Last": page[-1]["date_added"],
    }
    objects = [by_key[key(entry)] for entry in listed]
    return objects[: len(page)], objects[len(page) :] or {}, headers


def filter_by_added_after(data, manifest, after):
    if manifest is None:
        return [
            stix_object for stix_object in data if when(stix_object["date_added"]) > when(after)
        ]
    added = {key(entry): when(entry["date_added"]) for entry in manifest}
    return [stix_object for stix_object in data if added[key(stix_object)] > when(after)]


def filter_by_spec_version(data, versions):
    if versions:
        return by_spec_version(data, versions)
    newest: dict[str, str] = {}
    for stix_object in data:
        newest[stix_object["id"]] = max(
            newest.get(stix_object["id"], ""), common.determine_spec_version(stix_object)
        )
    return [
        stix_object
        for stix_object in data
        if common.determine_spec_version(stix_object) == newest[stix_object["id"]]
    ]


quadratic = BasicFilter.sort_and_paginate
BasicFilter.sort_and_paginate = sort_and_paginate
by_spec_version = BasicFilter.filter_by_spec_version
BasicFilter.filter_by_spec_version = staticmethod(filter_by_spec_version)
BasicFilter.filter_by_added_after = staticmethod(filter_by_added_after)
basic_filter.string_to_datetime = common.string_to_datetime = when

if __name__ == "__main__":
    config = json.loads(Path(sys.argv[2]).read_text())
    for part in ("users", "taxii", "backend"):
        set_config(application_instance, part, config)
    register_blueprints(application_instance)
    application_instance.run(host="127.0.0.1", port=int(sys.argv[1]))
