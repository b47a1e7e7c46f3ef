"""Feed formats: one module each behind the protocol in `base`; `registry` knows them by name.

Where to look, from a document's bytes to its indicators:

    which format     registry (by content), line_guess (a list, a table, or a report)
    bytes to text    streams, legacy_encodings
    lists and logs   text; list_layout and log_columns (which part of a line), styles, log_pairs
    tables           csv, spreadsheet; table_preface, table_layout and fixed_width (their form),
                     table_headers, header_languages and column_profiles (what a column says),
                     table_columns (which columns count), address_ranges, table_rows (a row)
    JSON and XML     json, xml; json_lists (where items are), json_items (which properties count)
    STIX             stix; stix_objects, stix_pattern, stix_references, pattern_relations
    MISP             misp; misp_attributes
    prose            report, rss, html, pdf; prose, prose_context, page_tables
    words            fields, times, type_words, entry_relations
    what was lost    unit_account
"""

from services.feeds.formats.base import (
    DroppedItem,
    Format,
    MalformedDocument,
    ParsedBatch,
    ParsedIndicator,
)
from services.feeds.formats.registry import format_named, format_names, guess_format

__all__ = [
    "DroppedItem",
    "Format",
    "MalformedDocument",
    "ParsedBatch",
    "ParsedIndicator",
    "format_named",
    "format_names",
    "guess_format",
]
