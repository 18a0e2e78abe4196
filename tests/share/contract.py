"""What every backend of the share must do. A backend's test subclasses `ShareContract` and gives `share`."""

from __future__ import annotations

import pickle
from pathlib import Path

import pytest

from vault.share.backend import NameTakenError, Share

NAME = "v1/blobs/0a1b.age"


class ShareContract:
    @pytest.fixture
    def share(self) -> Share:
        raise NotImplementedError

    @pytest.fixture
    def source(self, tmp_path: Path) -> Path:
        path = tmp_path / "source"
        path.write_bytes(b"ciphertext\0" * 200_000)
        return path

    def test_gives_back_what_was_put(self, share: Share, source: Path) -> None:
        share.begin(first=True)
        assert not share.exists(NAME)
        share.put(NAME, source)
        assert share.exists(NAME)
        with share.read(NAME) as file:
            assert file.read() == source.read_bytes()
        assert share.size(NAME) == source.stat().st_size

    def test_takes_an_empty_file(self, share: Share, source: Path) -> None:
        source.write_bytes(b"")
        share.begin(first=True)
        share.put(NAME, source)
        with share.read(NAME) as file:
            assert file.read() == b""

    def test_goes_to_another_process(self, share: Share, source: Path) -> None:
        share.begin(first=True)
        share.put(NAME, source)
        other: Share = pickle.loads(pickle.dumps(share))
        assert other.place == share.place
        with other.read(NAME) as file:
            assert file.read() == source.read_bytes()

    def test_never_replaces(self, share: Share, source: Path) -> None:
        share.begin(first=True)
        share.put(NAME, source)
        before = source.read_bytes()
        source.write_bytes(b"other")
        with pytest.raises(NameTakenError):
            share.put(NAME, source)
        with share.read(NAME) as file:
            assert file.read() == before

    def test_lists_by_prefix_and_only_finished_files(self, share: Share, source: Path) -> None:
        share.begin(first=True)
        for name in (NAME, "v1/blobs/ff.age", "v1/history/aa.age"):
            share.put(name, source)
        assert sorted(share.list("v1/blobs/")) == [NAME, "v1/blobs/ff.age"]
        assert len(list(share.list("v1/"))) == 3

    def test_removes_and_does_not_mind_what_is_gone(self, share: Share, source: Path) -> None:
        share.begin(first=True)
        share.put(NAME, source)
        share.remove(NAME)
        share.remove(NAME)
        assert not share.exists(NAME)

    def test_begin_may_be_repeated(self, share: Share, source: Path) -> None:
        share.begin(first=True)
        share.put(NAME, source)
        share.begin(first=False)
        assert share.exists(NAME)

    def test_what_a_check_wrote_makes_it_no_share_that_was_used(self, share: Share, source: Path) -> None:
        assert share.begin(first=True)
        share.put("v1/check/aa.age", source)
        assert share.begin(first=True)
        share.put(NAME, source)
        assert not share.begin(first=True)

    @pytest.mark.parametrize(
        "name",
        ["../x", "/etc/x", "v1/../x", "v1//x", "v1/.x", "", "v1/A", "v1/x+y", "v1/" + "a" * 300, "v1/x\n"],
    )
    def test_refuses_names_that_the_layout_does_not_make(self, share: Share, source: Path, name: str) -> None:
        share.begin(first=True)
        with pytest.raises(ValueError, match="not a name on the share"):
            share.put(name, source)
