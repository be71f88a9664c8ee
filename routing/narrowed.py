"""What an API key is sent instead of its environment's documents: the same, of the same serial, about itself alone.

A narrowed document is made from the very text that gateways are sent, so it is of the same moment and serial, and
serials rise as theirs do. It is signed when it is asked for and not stored; only the snapshot in it is, since decisions
will name it. See docs/decisions/0010-what-api-keys-are-sent.md.
"""

from pathlib import Path
from typing import TypeVar

import msgspec
from django.conf import settings

from governance import canonical
from governance.models import ApiKey
from routing import keys
from routing.models import Bundle, Snapshot, StateFeed
from smallfirst.documents import BundlePayload, StatePayload
from smallfirst.engine.compiled import read_snapshot
from smallfirst.seal import Purpose, sign_envelope

P = TypeVar("P", BundlePayload, StatePayload)


class _Envelope(msgspec.Struct):
    payload: str


def bundle(issued: Bundle, key: ApiKey) -> bytes:
    """Return the envelope of a bundle that holds of all workflows only the key's, with the whole register."""
    payload = _payload(issued.envelope, BundlePayload)
    document = msgspec.json.decode(payload.snapshot)
    document["workflows"] = [each for each in document["workflows"] if each["id"] == str(key.workflow_id)]
    held = {held["standard"] for each in document["workflows"] for held in each.get("standards", ())}
    if "standards" in document:
        document["standards"] = [each for each in document["standards"] if each["id"] in held]
    text = canonical.encode(document)
    digest = read_snapshot(text).digest
    Snapshot.objects.get_or_create(digest=digest, defaults={"text": text.decode()})
    return _signed(msgspec.structs.replace(payload, digest=digest, snapshot=text.decode()), "bundle")


def state(issued: StateFeed, key: ApiKey) -> bytes:
    """Return the envelope of a state that knows no other key and no other workflow."""
    payload = _payload(issued.envelope, StatePayload)
    own_workflow = tuple(name for name in payload.stops.workflows if name == str(key.workflow_id))
    stops = msgspec.structs.replace(payload.stops, workflows=own_workflow)
    own = tuple(each for each in payload.keys if each.id == str(key.pk))
    return _signed(msgspec.structs.replace(payload, keys=own, stops=stops), "state")


def _payload(envelope: str, kind: type[P]) -> P:
    """What an envelope of our own says."""
    return msgspec.json.decode(msgspec.json.decode(envelope, type=_Envelope).payload, type=kind)


def _signed(payload: BundlePayload | StatePayload, purpose: Purpose) -> bytes:
    signing = keys.load(Path(settings.KEYS))
    return sign_envelope(
        msgspec.json.encode(payload).decode(),
        purpose=purpose,
        certificate=signing.certificate,
        signing_secret=signing.signing_secret,
    )
