"""Sealing: every record once, in one dense log, whatever happens to the sealer."""

from audit import log, merkle, note, seal, sealkeys
from audit.models import Leaf, Record
from tests.audit.conftest import Sender, an_event


def test_a_stored_record_is_sealed_by_the_next_pass(writer: Sender) -> None:
    document = an_event()
    assert writer.post(document).status_code == 201
    record = Record.objects.get(correlation_id=document["correlation_id"])
    assert record.state == "stored"
    sealed = seal.Sealer().once()
    assert sealed.signed
    leaf = Leaf.objects.get(record_id=record.id)
    assert Record.objects.get(id=record.id).state == "sealed"
    evidence = log.evidence(record.id)
    text, signed = note.verify(evidence.proof.note, sealkeys.load().all_verifiers)
    assert len(signed) == 2
    head = note.Checkpoint.parse(text)
    merkle.verify_inclusion(bytes(leaf.leaf_hash), leaf.index, head.size, evidence.proof.hashes, head.root)
