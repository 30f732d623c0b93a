"""Contract: claims, the unique keys that make conditional creates safe."""

import pytest

from server.keys import Claimed, StaleWrite
from server.store.port import Store
from tests.contract.author import Author

CLAIM = "Patient?identifier=urn:oid:1.2|汉字 & 1"


async def test_a_claim_of_another_living_resource_refuses_the_commit(store: Store, author: Author) -> None:
    await author.put("Patient", "1", claim=CLAIM)
    with pytest.raises(Claimed) as refused:
        await author.commit(author.write("Patient", "0"), author.write("Patient", "2", claim=CLAIM))
    assert (refused.value.claim, refused.value.holder) == (CLAIM, "Patient/1")
    assert await store.get("Patient", "0") is None
    assert await store.get("Patient", "2") is None


async def test_claims_that_differ_do_not_meet(author: Author) -> None:
    await author.put("Patient", "1", claim=CLAIM)
    await author.put("Patient", "2", claim=CLAIM + " ")
    await author.put("Patient", "3", claim=CLAIM.lower())


async def test_the_holder_may_take_its_claim_again(author: Author) -> None:
    await author.put("Patient", "1", claim=CLAIM)
    assert (await author.put("Patient", "1", claim=CLAIM)).version == 2


async def test_an_update_without_a_claim_keeps_the_claim(author: Author) -> None:
    await author.put("Patient", "1", claim=CLAIM)
    await author.put("Patient", "1")
    with pytest.raises(Claimed):
        await author.put("Patient", "2", claim=CLAIM)


async def test_a_resource_may_hold_several_claims(author: Author) -> None:
    await author.put("Patient", "1", claim="a")
    await author.put("Patient", "1", claim="b")
    for claim in ("a", "b"):
        with pytest.raises(Claimed):
            await author.put("Patient", "2", claim=claim)


async def test_a_deleted_resource_holds_no_claims(author: Author) -> None:
    await author.put("Patient", "1", claim="a")
    await author.put("Patient", "1", claim="b")
    await author.delete("Patient", "1")
    await author.put("Patient", "2", claim="a")
    await author.put("Patient", "3", claim="b")
    with pytest.raises(Claimed) as refused:
        await author.put("Patient", "1", claim="a")
    assert refused.value.holder == "Patient/2"


async def test_a_resource_made_again_does_not_get_its_claims_back(author: Author) -> None:
    await author.put("Patient", "1", claim=CLAIM)
    await author.delete("Patient", "1")
    await author.put("Patient", "1")
    await author.put("Patient", "2", claim=CLAIM)


async def test_a_claim_moves_from_the_holder_that_is_named(author: Author) -> None:
    await author.put("Patient", "1", claim=CLAIM)
    await author.put("Patient", "2", claim=CLAIM, claim_from="Patient/1")
    with pytest.raises(Claimed) as refused:
        await author.put("Patient", "3", claim=CLAIM)
    assert refused.value.holder == "Patient/2"
    # the old holder's end no longer touches it
    await author.delete("Patient", "1")
    with pytest.raises(Claimed):
        await author.put("Patient", "3", claim=CLAIM)


async def test_a_claim_does_not_move_from_a_holder_that_is_not_named(author: Author) -> None:
    await author.put("Patient", "1", claim=CLAIM)
    with pytest.raises(Claimed) as refused:
        await author.put("Patient", "2", claim=CLAIM, claim_from="Patient/9")
    assert refused.value.holder == "Patient/1"


async def test_naming_a_holder_of_a_free_claim_does_no_harm(author: Author) -> None:
    await author.put("Patient", "1", claim=CLAIM, claim_from="Patient/9")
    with pytest.raises(Claimed):
        await author.put("Patient", "2", claim=CLAIM)


async def test_a_claim_is_free_after_a_deletion_earlier_in_the_same_commit(author: Author) -> None:
    await author.put("Patient", "2", claim=CLAIM)
    await author.commit(author.deletion("Patient", "2"), author.write("Patient", "1", claim=CLAIM))
    with pytest.raises(Claimed) as refused:
        await author.put("Patient", "3", claim=CLAIM)
    assert refused.value.holder == "Patient/1"


async def test_one_claim_twice_in_one_commit_is_refused(store: Store, author: Author) -> None:
    with pytest.raises(Claimed) as refused:
        await author.commit(author.write("Patient", "1", claim=CLAIM), author.write("Patient", "2", claim=CLAIM))
    assert refused.value.holder == "Patient/1"
    assert await store.get("Patient", "1") is None
    await author.put("Patient", "3", claim=CLAIM)


async def test_a_commit_that_fails_takes_no_claims(author: Author) -> None:
    with pytest.raises(StaleWrite):
        await author.commit(author.write("Patient", "1", claim=CLAIM), author.write("Patient", "2", expect=5))
    await author.put("Patient", "3", claim=CLAIM)
