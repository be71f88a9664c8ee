"""Bundles: what gateways decide by, signed, with a serial that only rises."""

from datetime import datetime, timedelta
from pathlib import Path

import msgspec
from django.conf import settings
from django.db import transaction

from governance import audit, canonical, proofs
from governance.audit import Service
from governance.models import AuditEvent, Environment
from routing import keys, snapshots, stamps
from routing.keys import Keys
from routing.models import Bundle, Snapshot
from routing.snapshots import Content
from smallfirst.documents import FORMAT, BundleEnvironment, BundlePayload
from smallfirst.seal import Envelope, Proof, sign_envelope

LIFE = timedelta(days=7)
REISSUE_AFTER = timedelta(days=1)
ISSUER = Service("bundles")
ISSUE = "bundles.issue"


def current(environment: Environment, *, now: datetime) -> Bundle:
    """Return the bundle that gateways should have now, issuing it if there is none or another is due.

    Two queries while nothing changed. Raises what `issue` raises.
    """
    newest = Bundle.objects.newest(environment)
    if newest is not None and _holds(newest, now) and newest.stamp == _stamp(_keys(), now):
        return newest
    return issue(environment, now=now)


def prove(bundle: Bundle) -> bool:
    """Keep the proof that the audit log holds the entry of a bundle's issue; say whether there is one by now.

    No query once there is; else three, and a few more to find it. Whichever was found first is kept, for it holds for
    good.
    """
    if bundle.proof:
        return True
    entry = AuditEvent.objects.filter(action=ISSUE, object_type="bundle", object_id=str(bundle.pk)).first()
    found = proofs.of(entry) if entry is not None else None
    if entry is None or found is None or not (found.holds and found.unchanged and found.leaf and found.checkpoint):
        return False
    proof = Proof(
        entry=audit.canonical_bytes(entry).decode(),
        xid=entry.xid,
        leaf=found.leaf.index,
        path=found.path,
        checkpoint=found.checkpoint.note,
    )
    Bundle.objects.filter(pk=bundle.pk, proof="").update(proof=msgspec.json.encode(proof).decode())
    bundle.refresh_from_db(fields=["proof"])
    return True


def sent(bundle: Bundle) -> bytes:
    """The envelope as gateways get it: with the proof beside the payload, once there is one."""
    if not bundle.proof:
        return bundle.envelope.encode()
    envelope = msgspec.json.decode(bundle.envelope, type=Envelope)
    proof = msgspec.json.decode(bundle.proof, type=Proof)
    return msgspec.json.encode(msgspec.structs.replace(envelope, proof=proof))


@transaction.atomic
def issue(environment: Environment, *, now: datetime) -> Bundle:
    """Issue a bundle of what is live, unless the newest says just that and is no older than a day; return the newest.

    Raises SnapshotError for rows the engine could not read, KeysMissingError, and UnsettledError when the rows are
    written to all the time; gateways then keep what they have.
    """
    # Serials rise because whoever issues for this environment waits here; foreign keys to it do not.
    environment = Environment.objects.select_for_update(no_key=True).get(pk=environment.pk)
    signing = _keys()
    content, stamp = stamps.settled(lambda: snapshots.make(environment, now=now), lambda: _stamp(signing, now))
    digest = canonical.digest([FORMAT, content.digest, *_signed_by(signing)])
    newest = Bundle.objects.newest(environment)
    if newest is not None and _holds(newest, now) and newest.digest == digest:
        if newest.stamp != stamp:
            newest.stamp = stamp
            newest.save(update_fields=["stamp"])
        return newest
    return _store(environment, newest, content, digest, stamp, signing, now)


def next_serial(last: int | None, now: datetime) -> int:
    """The serial after `last`: the second of issue (UTC, since 1970), or one more where that is not higher.

    So serials also rise over a database restored from an older copy, which gateways would otherwise refuse for good.
    """
    return max((last or 0) + 1, int(now.timestamp()))


def _store(
    environment: Environment,
    newest: Bundle | None,
    content: Content,
    digest: str,
    stamp: str,
    signing: Keys,
    now: datetime,
) -> Bundle:
    snapshot, _ = Snapshot.objects.get_or_create(digest=content.digest, defaults={"text": content.text})
    payload = BundlePayload(
        serial=next_serial(newest.serial if newest else None, now),
        issued_at=now,
        expires_at=now + LIFE,
        environment=BundleEnvironment(id=str(environment.pk), name=environment.name),
        review_key=signing.review_public_key,
        digest=content.digest,
        snapshot=content.text,
    )
    envelope = sign_envelope(
        msgspec.json.encode(payload).decode(),
        purpose="bundle",
        certificate=signing.certificate,
        signing_secret=signing.signing_secret,
    )
    bundle = Bundle.objects.create(
        environment=environment,
        serial=payload.serial,
        snapshot=snapshot,
        digest=digest,
        stamp=stamp,
        envelope=envelope.decode(),
        issued_at=payload.issued_at,
        expires_at=payload.expires_at,
    )
    # Every gateway is sent this entry: it is no place for the address of the one that asked first.
    with audit.during():
        audit.record(
            action=ISSUE,
            actor=ISSUER,
            object=bundle,
            summary=f"Issued bundle {bundle.serial} for {environment.name}",
            before={"serial": newest.serial, "snapshot": newest.snapshot_id} if newest else None,
            # What smallfirst.proofs compares a bundle with.
            after={"serial": bundle.serial, "environment": environment.pk, "snapshot": snapshot.digest},
        )
    return bundle


def _holds(bundle: Bundle, now: datetime) -> bool:
    return bundle.issued_at > now - REISSUE_AFTER


def _keys() -> Keys:
    return keys.load(Path(settings.KEYS))


def _signed_by(signing: Keys) -> list[str]:
    return [signing.certificate.text, signing.review_public_key]


def _stamp(signing: Keys, now: datetime) -> str:
    return canonical.digest([FORMAT, *_signed_by(signing), snapshots.stamp(now=now)])
