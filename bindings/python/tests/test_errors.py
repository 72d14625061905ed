"""One exception class for each result code."""

import pickle

import pytest

import choria
from choria import errors
from choria._abi import Result


def test_every_code_has_a_class_of_its_own():
    assert set(errors.CLASSES) == set(Result) - {Result.OK}
    assert len(set(errors.CLASSES.values())) == len(errors.CLASSES)
    for kind in errors.CLASSES.values():
        assert issubclass(kind, choria.ChoriaError)
        assert getattr(choria, kind.__name__) is kind


@pytest.mark.parametrize("result", sorted(set(Result) - {Result.OK}))
def test_class(result):
    error = errors.error_for(int(result), "what happened")
    assert type(error) is errors.CLASSES[result]
    assert error.code is result
    assert str(error) == error.message == "what happened"
    again = pickle.loads(pickle.dumps(error))
    assert (type(again), again.code, str(again)) == (type(error), result, "what happened")


def test_a_code_of_a_newer_library():
    error = errors.error_for(77, "something new")
    assert type(error) is choria.ChoriaError
    assert error.code == 77


def test_usual_classes_of_python():
    assert issubclass(choria.Timeout, TimeoutError)
    assert issubclass(choria.InvalidArgument, ValueError)
    assert issubclass(choria.LibraryUnavailable, ImportError)


def test_a_missing_library_is_told(monkeypatch, tmp_path):
    from choria import _library

    missing = tmp_path / "libchoria.so.1"
    monkeypatch.setenv("CHORIA_LIBRARY", str(missing))
    with pytest.raises(choria.LibraryUnavailable, match=f"{missing}.*CHORIA_LIBRARY"):
        _library.library.__wrapped__()
    missing.write_text("no library")
    with pytest.raises(choria.LibraryUnavailable, match="cannot load"):
        _library.library.__wrapped__()


def test_another_library_is_refused(monkeypatch):
    from choria import _library

    monkeypatch.setenv("CHORIA_LIBRARY", "libc.so.6")
    with pytest.raises(choria.LibraryUnavailable, match="older than this package: .*choria_abi_version"):
        _library.library.__wrapped__()
