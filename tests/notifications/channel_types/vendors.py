"""Vendors of chats and of incidents, as their documentation says that they behave."""

import json
import re
from html.parser import HTMLParser
from typing import Any
from urllib.parse import parse_qs, urlsplit

from tests.notifications.channel_types.vendor_server import Refused, Vendor, VendorRequest, require

_AT = re.compile(r"@(here|everyone|channel|all|admin)\b")


def utf16(text: str) -> int:
    return len(text.encode("utf-16-le")) // 2


class SlackVendor(Vendor):
    """An incoming webhook, and the methods of a bot."""

    def answer(self, request: VendorRequest) -> tuple[int, Any]:
        url = urlsplit(request.path)
        if url.path.startswith("/conversations."):
            return self._history(url.path, parse_qs(url.query))
        document = request.document
        is_bot = url.path == "/chat.postMessage"
        try:
            self._check(document)
        except Refused:
            if is_bot:
                return 200, {"ok": False, "error": "invalid_blocks"}
            raise Refused(400, "invalid_blocks") from None
        if is_bot and request.headers.get("authorization") != "Bearer xoxb-test-token":
            return 200, {"ok": False, "error": "invalid_auth"}
        self.accepted.append(request)
        if not is_bot:
            return 200, "ok"
        return 200, {"ok": True, "ts": f"1700000000.{len(self.accepted):06}"}

    def _check(self, document: dict[str, Any]) -> None:
        require(utf16(document["text"]) <= 40_000, "msg_too_long")
        require(len(document["blocks"]) <= 50, "too many blocks")
        for block in document["blocks"]:
            for text in [block["text"]] if "text" in block else block["elements"]:
                require(1 <= utf16(text["text"]) <= 3000, "text length")
                bare = re.sub(r"&(amp|lt|gt);", "", text["text"])
                require("&" not in bare, "unescaped ampersand")
                if text["type"] == "mrkdwn":
                    bare = re.sub(r"<https?://[^<>|]+\|[^<>|]+>", "", bare)
                require("<" not in bare and ">" not in bare, "unescaped bracket")

    def _history(self, path: str, query: dict[str, list[str]]) -> tuple[int, Any]:
        thread = query.get("ts", [None])[0]
        messages = []
        for number, request in enumerate(self.accepted, 1):
            document = request.document
            if path == "/conversations.history" and "thread_ts" in document:
                continue
            if path == "/conversations.replies" and document.get("thread_ts") != thread:
                continue
            messages.append({"ts": f"1700000000.{number:06}", "metadata": document.get("metadata")})
        return 200, {"ok": True, "messages": messages}

    def visible(self, request: VendorRequest) -> str:
        texts = []
        for block in request.document["blocks"]:
            texts += [block["text"]["text"]] if "text" in block else []
            texts += [element["text"] for element in block.get("elements", ())]
        text = "\n".join(texts)
        return text.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&")

    def pings(self, request: VendorRequest) -> list[str]:
        document = request.document
        texts = [document["text"]]
        for block in document["blocks"]:
            texts += [element["text"] for element in block.get("elements", ())]
        pings = [ping for text in texts for ping in re.findall(r"<[!@#][^>]*>", text)]
        return pings + (["names are linked"] if document.get("link_names") else [])


class TeamsVendor(Vendor):
    def answer(self, request: VendorRequest) -> tuple[int, Any]:
        require(len(request.body) <= 28 * 1024, "card too large", 413)
        document = request.document
        require(document["type"] == "message", "type")
        [attachment] = document["attachments"]
        require(attachment["contentType"] == "application/vnd.microsoft.card.adaptive", "type")
        card = attachment["content"]
        require(card["type"] == "AdaptiveCard", "card")
        for block in card["body"]:
            require(block["type"] == "RichTextBlock", "block")
            for run in block["inlines"]:
                require(run["type"] == "TextRun" and run["text"], "run")
        self.accepted.append(request)
        return 202, ""

    def visible(self, request: VendorRequest) -> str:
        card = request.document["attachments"][0]["content"]
        lines = [run["text"] for block in card["body"] for run in block["inlines"]]
        return "\n".join(lines + [action["url"] for action in card["actions"]])

    def pings(self, request: VendorRequest) -> list[str]:
        card = request.document["attachments"][0]["content"]
        return [str(card["msteams"])] if "msteams" in card else []


def unescaped_markdown(text: str) -> str:
    """A text as it is shown: escapes are read, but not within code spans."""
    return re.sub(r"(`[^`]*`)|\\(.)", lambda match: match[1] or match[2], text)


def unescaped_wiki(text: str) -> str:
    return re.sub(r"\\(.)", r"\1", text)


class DiscordVendor(Vendor):
    def answer(self, request: VendorRequest) -> tuple[int, Any]:
        document = request.document
        require(document.get("content") or document.get("embeds"), "empty message")
        [embed] = document["embeds"]
        require(1 <= utf16(embed["description"]) <= 4096, "description too long")
        self.accepted.append(request)
        return 200, {"id": str(len(self.accepted))}

    def visible(self, request: VendorRequest) -> str:
        return unescaped_markdown(request.document["embeds"][0]["description"])

    def pings(self, request: VendorRequest) -> list[str]:
        allowed = request.document.get("allowed_mentions", {"parse": ["everyone"]})
        return allowed["parse"]


class _TelegramReader(HTMLParser):
    """Reads the HTML of Telegram; what it does not take is an error."""

    TAGS = ("b", "code", "a")

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.open: list[str] = []
        self.text = ""
        self.plain = ""
        self.links: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        require(tag in self.TAGS, f"unsupported start tag {tag}")
        self.open.append(tag)
        self.links += [value or "" for name, value in attrs if name == "href"]

    def handle_endtag(self, tag: str) -> None:
        require(self.open and self.open.pop() == tag, f"unexpected end tag {tag}")

    def handle_data(self, data: str) -> None:
        self.text += data
        if "code" not in self.open:
            self.plain += data


class TelegramVendor(Vendor):
    def answer(self, request: VendorRequest) -> tuple[int, Any]:
        require(request.path.startswith("/bot123:"), "not found", 404)
        document = request.document
        require(document["parse_mode"] == "HTML", "parse_mode")
        markup = r"</?(b|code)>|<a href=\"[^\"<>]*\">|</a>|&(amp|lt|gt|quot|#x27);"
        raw = re.sub(markup, "", document["text"])
        require(not set(raw) & set("<>&"), "can't parse entities")
        reader = self._read(document["text"])
        require(not reader.open, "can't find end tag")
        require(1 <= utf16(reader.text) <= 4096, "message is too long")
        self.accepted.append(request)
        return 200, {"ok": True, "result": {"message_id": len(self.accepted)}}

    def _read(self, text: str) -> _TelegramReader:
        reader = _TelegramReader()
        reader.feed(text)
        reader.close()
        return reader

    def visible(self, request: VendorRequest) -> str:
        reader = self._read(request.document["text"])
        return "\n".join([reader.text, *reader.links])

    def pings(self, request: VendorRequest) -> list[str]:
        return re.findall(r"@[A-Za-z0-9_]+", self._read(request.document["text"]).plain)


class MattermostVendor(Vendor):
    def answer(self, request: VendorRequest) -> tuple[int, Any]:
        require(1 <= utf16(request.document["text"]) <= 16_383, "text too long")
        self.accepted.append(request)
        return 200, "ok"

    def visible(self, request: VendorRequest) -> str:
        return unescaped_markdown(request.document["text"])

    def pings(self, request: VendorRequest) -> list[str]:
        return _AT.findall(request.document["text"])


class PagerDutyVendor(Vendor):
    def __init__(self, url: str) -> None:
        super().__init__(url)
        self.states: dict[str, str] = {}

    @property
    def incidents(self) -> int:
        return len(self.states)

    def answer(self, request: VendorRequest) -> tuple[int, Any]:
        require(len(request.body) <= 512 * 1024, "too large", 413)
        document = request.document
        require(document["routing_key"] == "k" * 32, "Invalid routing key")
        require(1 <= len(document["dedup_key"]) <= 255, "dedup_key")
        if document["event_action"] == "trigger":
            payload = document["payload"]
            require(1 <= len(payload["summary"]) <= 1024, "summary")
            require(payload["source"], "source")
            require(payload["severity"] in ("critical", "error", "warning", "info"), "severity")
        else:
            require(document["event_action"] == "resolve", "event_action")
        self.accepted.append(request)
        self.states[document["dedup_key"]] = document["event_action"]
        return 202, {"status": "success", "dedup_key": document["dedup_key"]}

    def visible(self, request: VendorRequest) -> str:
        return "\n".join(_texts(request.document))


def _texts(document: Any) -> list[str]:
    if isinstance(document, dict):
        return [text for value in document.values() for text in _texts(value)]
    if isinstance(document, list):
        return [text for value in document for text in _texts(value)]
    return [str(document)]


class JsmVendor(Vendor):
    def __init__(self, url: str) -> None:
        super().__init__(url)
        self.alerts: dict[str, dict[str, Any]] = {}

    @property
    def incidents(self) -> int:
        return len(self.alerts)

    def answer(self, request: VendorRequest) -> tuple[int, Any]:
        require(request.headers.get("authorization") == "GenieKey key-0123456789", "key", 401)
        path = urlsplit(request.path)
        document = request.document
        if path.path == "/v2/alerts":
            require(1 <= utf16(document["message"]) <= 130, "message", 422)
            require(len(document["alias"]) <= 512, "alias", 422)
            require(utf16(document["description"]) <= 15_000, "description", 422)
            alert = self.alerts.setdefault(document["alias"], {"count": 0, "notes": []})
            alert["count"] += 1
        else:
            require(parse_qs(path.query) == {"identifierType": ["alias"]}, "identifier", 422)
            alias, verb = path.path.removeprefix("/v2/alerts/").split("/")
            require(alias in self.alerts, "no alert", 404)
            require(utf16(document["note"]) <= 25_000, "note", 422)
            self.alerts[alias]["notes"].append(document["note"])
            self.alerts[alias]["closed"] = verb == "close"
        self.accepted.append(request)
        return 202, {"result": "Request will be processed", "requestId": "1"}

    def visible(self, request: VendorRequest) -> str:
        return "\n".join(_texts(request.document))


class JiraVendor(Vendor):
    def __init__(self, url: str) -> None:
        super().__init__(url)
        self.issues: list[dict[str, Any]] = []

    @property
    def incidents(self) -> int:
        return len(self.issues)

    def answer(self, request: VendorRequest) -> tuple[int, Any]:
        require(request.headers.get("authorization", "").startswith(("Basic ", "Bearer ")), "", 401)
        path = urlsplit(request.path).path
        api = path.split("/")[3]
        place = "/".join(path.split("/")[4:])
        if place in ("search", "search/jql"):
            label = re.search(r'labels = "([^"]+)"', request.document["jql"])
            keys = [
                issue["key"]
                for issue in self.issues
                if label and label[1] in issue["fields"]["labels"]
            ]
            return 200, {"issues": [{"key": key} for key in keys]}
        if place == "issue":
            return self._create(request, api)
        key, verb = place.removeprefix("issue/").split("/")
        issue = next((issue for issue in self.issues if issue["key"] == key), None)
        require(issue, "no issue", 404)
        if request.method == "GET":
            return 200, {"comments": issue["comments"]}
        if verb == "transitions":
            issue["transition"] = request.document["transition"]["id"]
            return 204, ""
        self._check_body(request.document["body"], api)
        issue["comments"].append({"body": request.document["body"]})
        self.accepted.append(request)
        return 201, {"id": "1"}

    def _create(self, request: VendorRequest, api: str) -> tuple[int, Any]:
        fields = request.document["fields"]
        require(1 <= utf16(fields["summary"]) <= 255, "summary")
        require("\n" not in fields["summary"], "The summary is invalid: it contains newlines")
        require(all(" " not in label for label in fields["labels"]), "labels")
        self._check_body(fields["description"], api)
        key = f"SEC-{len(self.issues) + 1}"
        self.issues.append({"key": key, "fields": fields, "comments": []})
        self.accepted.append(request)
        return 201, {"key": key}

    def _check_body(self, body: Any, api: str) -> None:
        if api == "2":
            require(isinstance(body, str) and utf16(body) <= 32_767, "description")
            return
        require(utf16(json.dumps(body, ensure_ascii=False)) <= 33_000, "CONTENT_LIMIT_EXCEEDED")
        require(body["type"] == "doc" and body["version"] == 1, "INVALID_INPUT")
        self._check_node(body)

    def _check_node(self, node: dict[str, Any]) -> None:
        if node["type"] == "text":
            require(node["text"], "INVALID_INPUT: an empty text")
            marks = {mark["type"] for mark in node.get("marks", ())}
            require(marks <= {"strong", "code", "link"}, "INVALID_INPUT: a mark")
            return
        types = ("doc", "paragraph", "bulletList", "listItem")
        require(node["type"] in types and node["content"], f"INVALID_INPUT: {node['type']}")
        for child in node["content"]:
            self._check_node(child)

    def visible(self, request: VendorRequest) -> str:
        document = request.document
        body = document.get("body") or document["fields"]["description"]
        return unescaped_wiki(body) if isinstance(body, str) else "\n".join(_texts(body))

    def pings(self, request: VendorRequest) -> list[str]:
        document = request.document
        body = document.get("body") or document["fields"]["description"]
        if isinstance(body, str):
            return re.findall(r"(?<!\\)\[~[^\]]*\]", body)
        return re.findall(r'"type": "mention"', json.dumps(body))


class TheHiveVendor(Vendor):
    def __init__(self, url: str) -> None:
        super().__init__(url)
        self.alerts: dict[str, str] = {}
        self.comments: list[str] = []

    @property
    def incidents(self) -> int:
        return len(self.alerts)

    def answer(self, request: VendorRequest) -> tuple[int, Any]:
        require(request.headers.get("authorization") == "Bearer key-0123456789", "key", 401)
        document = request.document
        if request.path.endswith("/comment"):
            require(request.path.split("/")[4] in self.alerts.values(), "no alert", 404)
            self.comments.append(document["message"])
            self.accepted.append(request)
            return 201, {"_id": "~9"}
        require(1 <= utf16(document["title"]) <= 512, "title")
        require(len(document["sourceRef"]) <= 128 and utf16(document["source"]) <= 64, "source")
        require(document["severity"] in (1, 2, 3, 4), "severity")
        pairs = [(each["dataType"], each["data"]) for each in document["observables"]]
        require(len(pairs) == len(set(pairs)), "an observable stands twice")
        require(all(data.strip() and len(data) <= 4096 for _, data in pairs), "data")
        if document["sourceRef"] in self.alerts:
            message = f"Alert {document['type']}:{document['source']} already exists"
            raise Refused(400, {"type": "CreateError", "message": message})
        self.alerts[document["sourceRef"]] = f"~{len(self.alerts) + 1}"
        self.accepted.append(request)
        return 201, {"_id": self.alerts[document["sourceRef"]]}

    def visible(self, request: VendorRequest) -> str:
        document = request.document
        return unescaped_markdown(document.get("message") or document["description"])


class IrisVendor(Vendor):
    def __init__(self, url: str) -> None:
        super().__init__(url)
        self.alerts: list[dict[str, Any]] = []

    @property
    def incidents(self) -> int:
        return len(self.alerts)

    def answer(self, request: VendorRequest) -> tuple[int, Any]:
        require(request.headers.get("authorization") == "Bearer key-0123456789", "key", 401)
        url = urlsplit(request.path)
        if url.path == "/alerts/filter":
            reference = parse_qs(url.query)["source_reference"][0]
            alerts = [each for each in self.alerts if each["alert_source_ref"] == reference]
            return 200, {"status": "success", "data": {"alerts": alerts}}
        document = request.document
        if url.path.startswith("/alerts/update/"):
            alert = self.alerts[int(url.path.rpartition("/")[2]) - 1]
            alert |= document
            self.accepted.append(request)
            return 200, {"status": "success", "data": alert}
        for name in ("alert_title", "alert_severity_id", "alert_status_id", "alert_customer_id"):
            require(document.get(name), name)
        self.alerts.append({**document, "alert_id": len(self.alerts) + 1})
        self.accepted.append(request)
        return 200, {"status": "success", "data": self.alerts[-1]}

    def visible(self, request: VendorRequest) -> str:
        document = request.document
        return document.get("alert_note") or document["alert_description"]


class MispVendor(Vendor):
    def __init__(self, url: str) -> None:
        super().__init__(url)
        self.events: dict[str, dict[str, Any]] = {}

    @property
    def incidents(self) -> int:
        return len(self.events)

    def answer(self, request: VendorRequest) -> tuple[int, Any]:
        require(request.headers.get("authorization") == "k" * 40, "key", 403)
        event = request.document["Event"]
        uuids = [attribute["uuid"] for attribute in event["Attribute"]]
        require(len(uuids) == len(set(uuids)), "an attribute stands twice")
        require(all(attribute["value"] for attribute in event["Attribute"]), "value")
        if request.path == "/events/add":
            if event["uuid"] in self.events:
                name = (
                    "Event already exists, if you would like to edit it, use the url in the "
                    "location header."
                )
                raise Refused(404, {"name": name, "message": name, "url": "/events/add"})
            self.events[event["uuid"]] = {}
        else:
            require(request.path.rpartition("/")[2] in self.events, "no event", 404)
        self.events[event["uuid"]] |= {each["uuid"]: each for each in event["Attribute"]}
        self.accepted.append(request)
        return 200, {"Event": event}

    def visible(self, request: VendorRequest) -> str:
        return "\n".join(_texts(request.document))
