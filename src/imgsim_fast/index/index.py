"""The index as its users see it."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable, Iterator, Mapping
from types import TracebackType
from typing import TYPE_CHECKING, Any

from numpy.typing import ArrayLike, NDArray

from imgsim_fast import _threads, _validate, images
from imgsim_fast._pillow import named
from imgsim_fast.errors import InvalidTypeError
from imgsim_fast.index import catalog as catalogs
from imgsim_fast.index.agreement import agreed_measure, measure_of
from imgsim_fast.index.build import AddReport, Builder, Progress
from imgsim_fast.index.catalog import Catalog
from imgsim_fast.index.duplicates import Criterion, confirmation_of, find_duplicates
from imgsim_fast.index.files import (
    existing_folders,
    given_files,
    given_images,
    id_of,
    recorded_files,
    vanished,
)
from imgsim_fast.index.histograms import HistogramQuery
from imgsim_fast.index.histograms import add_histograms as append_histograms
from imgsim_fast.index.inspection import stats_of
from imgsim_fast.index.lock import writer_lock
from imgsim_fast.index.paths import PathLike, absolute, absolute_folder, check_vacant
from imgsim_fast.index.reader import Reader
from imgsim_fast.index.records import Duplicates, IndexedImage, IndexStats
from imgsim_fast.index.reference import sides_of
from imgsim_fast.index.rerank import rerank as rerank_matches
from imgsim_fast.index.rerank import second_measure
from imgsim_fast.index.search import Matches, as_limit
from imgsim_fast.index.segments import sync_folder
from imgsim_fast.index.verify import problems_of
from imgsim_fast.knn import Neighbors
from imgsim_fast.measures import ImageLike, Measure, describe, get_measure
from imgsim_fast.measures.pair import decoded

if TYPE_CHECKING:
    from PIL.Image import Image


class Index:
    """A directory that remembers images and finds the most similar ones.

    A search looks at what was there at the last `add` or `refresh`, not at the folders.

    Make one with :meth:`create` or :meth:`open`. Many processes may search an index while one
    writes to it; each search sees one whole commit. Methods may be called from several threads,
    and in a child that :func:`os.fork` makes.

    Examples
    --------
    >>> import imgsim_fast as isf
    >>> index = isf.Index.create("photos.imgsim", bins=64)      # doctest: +SKIP
    >>> index.add("photos").added                               # doctest: +SKIP
    1000
    >>> index.search("query.jpg", k=3).paths                    # doctest: +SKIP
    """

    def __init__(self, catalog: Catalog, measure: Measure | None = None) -> None:
        if not isinstance(catalog, Catalog):
            raise InvalidTypeError("use Index.open(path) or Index.create(path), not Index(path)")
        self._measure = measure_of(catalog) if measure is None else measure
        self._reader = Reader(catalog, self._measure)

    # ---- making and opening --------------------------------------------------------------------

    @classmethod
    def create(
        cls, path: PathLike, measure: str | Measure = "wasserstein", **options: Any
    ) -> Index:
        """Make a new, empty index.

        Parameters
        ----------
        path : path
            A directory that does not exist yet, or is empty.
        measure : str or Measure
            A name from :func:`imgsim_fast.measures`, or a measure object. An object that has no
            place in the registry (a callable of yours) must be given to :meth:`open` again.
        **options
            The measure's options; for "wasserstein" ``bins=256, range=(0, 256), p=1``.

        Raises
        ------
        FileExistsError
            The directory exists and is not empty.
        InvalidInputError, InvalidTypeError
            An unknown measure or option, or a bad value.
        """
        kind = get_measure(measure, **options)
        folder = absolute(path)
        os.makedirs(folder, exist_ok=True)
        check_vacant(folder)  # before the lock file is made in somebody's folder
        with writer_lock(folder):
            check_vacant(folder)  # another process may have been faster
            Catalog.create(folder, kind.name, kind.options, images.DECODER)
            sync_folder(folder)
        return cls.open(folder, kind)

    @classmethod
    def open(cls, path: PathLike, measure: str | Measure | None = None, **options: Any) -> Index:
        """Open an index.

        Parameters
        ----------
        path : path
        measure, **options
            What the caller counts on; anything that the index was not made with is an error. A
            model file that has moved is named by its new path: ``model=`` or ``checkpoint=``.

        Raises
        ------
        IndexVersionError
            The directory is no index, or one of another format version.
        IndexMismatchError
            The index has another measure, other options, or other decoding rules.
        IndexCorruptError
            The catalogue is damaged.
        """
        catalog = Catalog(absolute(path))
        try:
            return cls(catalog, agreed_measure(catalog, measure, options))
        except BaseException:
            catalog.close()
            raise

    @staticmethod
    def exists(path: PathLike) -> bool:
        """Tell whether a directory holds an index."""
        return os.path.isfile(os.path.join(absolute(path), catalogs.FILE))

    def close(self) -> None:
        """Close the catalogue; the object cannot be used afterwards."""
        self._reader.close()

    def __enter__(self) -> Index:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def __len__(self) -> int:
        return self._reader.count()

    def __repr__(self) -> str:
        catalog = self._reader.catalog
        return f"<Index {catalog.folder!r}: {catalog.measure} {catalog.options}>"

    @property
    def path(self) -> str:
        """The directory."""
        return self._reader.catalog.folder

    @property
    def measure(self) -> str:
        """Name of the measure."""
        return self._reader.catalog.measure

    @property
    def kind(self) -> Measure:
        """The measure itself."""
        return self._measure

    @property
    def options(self) -> dict[str, Any]:
        """The measure's options."""
        return dict(self._reader.catalog.options)

    @property
    def unit(self) -> str:
        """What a value of 1 means; empty for a bare number."""
        return self._measure.unit

    @property
    def higher_is_better(self) -> bool:
        """True where values are similarities."""
        return self._measure.higher_is_better

    @property
    def value_range(self) -> tuple[float, float]:
        """Least and greatest value of the measure, infinite where there is no such."""
        return self._measure.value_range

    # ---- writing -------------------------------------------------------------------------------

    def add(
        self,
        images_or_folder: PathLike | Iterable[PathLike],
        *,
        threads: int | None = None,
        progress: Progress | None = None,
        checksum: bool = False,
        commit_seconds: float = 2.0,
    ) -> AddReport:
        """Add the images of a folder, or image files by path; skip what is already there.

        A file is read again if its size or modification time has changed, and described again if
        its contents have. Files that cannot be read are skipped and reported, never fatal.

        Parameters
        ----------
        images_or_folder : path, or iterable of paths
            A folder is walked (see ``imgsim_fast.folders``) and remembered for :meth:`refresh`.
        threads : int, optional
            Decoding threads; default: ``IMGSIM_FAST_NUM_THREADS``, else the usable CPUs. The
            result does not depend on it.
        progress : callable, optional
            Called with the number of files dealt with so far.
        checksum : bool
            Read every file and compare contents, whatever its size and time say.
        commit_seconds : float
            Publish at least this often. After a crash or kill -9 everything published is there,
            and the next `add` goes on from it.

        Returns
        -------
        AddReport

        Raises
        ------
        IndexLockedError
            Another process or thread is writing.
        OSError
            The disk is full or similar; what was published before stays.
        """
        number = _threads.resolve(threads)
        with self._writing(number, progress, commit_seconds) as builder:
            builder.add(given_files(builder, images_or_folder), checksum=checksum)
            builder.merge_small_segments()
            return builder.report()

    def refresh(
        self,
        *,
        threads: int | None = None,
        progress: Progress | None = None,
        checksum: bool = False,
        commit_seconds: float = 2.0,
    ) -> AddReport:
        """Bring the index up to date: new and changed files in, vanished ones out.

        Looks at every folder that was added and every single file that was added. A folder that
        does not exist (a disk that is not mounted, say) is an error before anything is removed.

        Parameters and errors as in :meth:`add`.
        """
        number = _threads.resolve(threads)
        with self._reader.lock:
            roots = existing_folders(self._reader.catalog)
        with self._writing(number, progress, commit_seconds) as builder:
            seen: set[bytes] = set()
            unreadable: list[bytes] = []
            builder.add(recorded_files(builder, roots, seen, unreadable), checksum=checksum)
            builder.remove(*vanished(builder.catalog, seen, unreadable))
            builder.merge_small_segments()
            return builder.report()

    def remove(self, ids_or_paths: int | PathLike | Iterable[int | PathLike]) -> int:
        """Remove images by id or path; the files stay. Returns how many.

        Raises
        ------
        InvalidInputError
            One of them is not in the index; then nothing is removed.
        """
        wanted = given_images(ids_or_paths)
        with self._writing(1, None, 1.0) as builder:
            numbers = list(dict.fromkeys(id_of(builder.catalog, item) for item in wanted))
            builder.remove(numbers)
            return len(numbers)

    def add_histograms(
        self,
        rows: ArrayLike | Iterable[ArrayLike],
        ids: ArrayLike | None = None,
        *,
        threads: int | None = None,
    ) -> int:
        """Add histograms that do not come from image files; :meth:`search_histograms` finds them.

        Parameters
        ----------
        rows : array_like, shape (n, bins), or iterable of such arrays
            Counts, whole numbers from 0 to 2**32 - 1. An iterable, of arrays with several rows
            each, is taken as it comes, so that there may be more than memory holds.
        ids : array_like of int, shape (n,), optional
            Ascending, from one more than the largest id that is there; default: so many numbers
            from there on, in an empty index from 0.
        threads : int, optional
            Threads that make codes.

        Returns
        -------
        int
            How many were added: all of them, in one commit, or none and an error. Only Ctrl-C that
            comes later, while small segments are merged, finds them added.

        Raises
        ------
        InvalidInputError
            Rows of another length, counts that are none, a row without any; ids that do not
            ascend. The index is not by "wasserstein" with p = 1 and 2 bins or more.
        IndexLockedError
            Another process or thread is writing.
        OSError
            The disk is full or similar.

        Warns
        -----
        IndexWarning
            They have been added, but many small segments could not be merged: the disk is full, or
            one of them is damaged.

        Notes
        -----
        A histogram takes 4 bytes a bin and 22 for its code on disk (and 8 if its id does not
        follow the one before), nothing in the catalogue. Memory: some 400 MB, whatever n. They are
        no images: :meth:`search`, ``len`` and :meth:`duplicates` do not see them.
        """
        number = _threads.resolve(threads)
        with self._writing_to() as catalog:
            return append_histograms(catalog, self._measure, rows, ids, number)

    @contextlib.contextmanager
    def _writing(
        self, threads: int, progress: Progress | None, commit_seconds: float
    ) -> Iterator[Builder]:
        commit_seconds = _validate.as_seconds("commit_seconds", commit_seconds)
        with self._writing_to() as catalog:
            yield Builder(catalog, self._measure, threads, progress, commit_seconds)

    @contextlib.contextmanager
    def _writing_to(self) -> Iterator[Catalog]:
        with self._reader.lock:
            self._reader.catalog.version()  # a closed index stays closed
        # A connection of its own: searches in other threads go on meanwhile.
        folder = self._reader.catalog.folder
        with writer_lock(folder), contextlib.closing(Catalog(folder)) as catalog:
            yield catalog

    # ---- searching -----------------------------------------------------------------------------

    def search(
        self,
        image: ImageLike | Image,
        k: int = 10,
        *,
        max_distance: float | None = None,
        rerank: str | Measure | None = None,
        rerank_options: Mapping[str, Any] | None = None,
        candidates: int = 200,
        threads: int | None = None,
        progress: Progress | None = None,
    ) -> Matches:
        """Find the k most similar images, exactly.

        Parameters
        ----------
        image : path, encoded bytes, uint8 array of shape (h, w) or (h, w, 3), or Pillow image
            A Pillow image must be in mode L or RGB.
        k : int
            More than there are gives all.
        max_distance : float, optional
            Of the k only the images within this distance, itself included (for similarities: of at
            least this value). It is about the distances that are returned, so with `rerank` about
            the other measure's.
        rerank : str or Measure, optional
            Another measure: it ranks the best `candidates` of the index's measure. Their files are
            read again, as they are now; those that cannot be are left out and listed in ``skipped``
            of the result. The distances are the other measure's.
        rerank_options : mapping, optional
            Options of the other measure.
        candidates : int
            How many to rank again; k, where that is more.
        threads : int, optional
        progress : callable, optional
            Called with the number of candidates read so far.

        Returns
        -------
        Matches
            Best first, ties by id; the same for any number of threads and segments.

        Raises
        ------
        ImageDecodeError
            The query cannot be decoded.
        IndexCorruptError
            A segment is not what the catalogue says.
        """
        number = _validate.as_count("k", k)
        wanted = max(number, _validate.as_count("candidates", candidates))
        other = second_measure("rerank", rerank, rerank_options)
        higher = (self._measure if other is None else other).higher_is_better
        limit = None
        if max_distance is not None:
            limit = as_limit("max_distance", max_distance, higher_is_better=higher)
        workers = _threads.resolve(threads)
        pixels = decoded(image)
        with named(image):
            query = self._measure.describe(pixels)
            second = None if other is None else other.describe(pixels)
        if other is None or second is None:
            return self._reader.matches(lambda now: now.nearest(query, number, workers, limit))
        found = self._reader.matches(lambda now: now.nearest(query, wanted, workers))
        return rerank_matches(other, second, found, number, workers, progress, limit)

    def range_search(
        self, image: ImageLike, radius: float, *, threads: int | None = None
    ) -> Matches:
        """Find all images within a distance (for similarities: of at least a value).

        Parameters
        ----------
        image
            As in :meth:`search`.
        radius : float
            Largest distance that counts, itself included.
        threads : int, optional

        Returns
        -------
        Matches
            Best first, ties by id.
        """
        limit = as_limit("radius", radius, higher_is_better=self.higher_is_better)
        query = describe(self._measure, image)
        workers = _threads.resolve(threads)
        return self._reader.matches(lambda now: now.within(query, limit, workers))

    def search_histograms(
        self,
        rows: ArrayLike,
        k: int | None = 10,
        *,
        max_distance: float | None = None,
        threads: int | None = None,
    ) -> Neighbors:
        """Find the k nearest of the histograms added by :meth:`add_histograms`, exactly.

        Parameters
        ----------
        rows : array_like, shape (bins,) or (q, bins)
            Masses of one query or of several, as in :func:`imgsim_fast.knn`.
        k : int or None
            More than there are gives all. None, for one query: all within `max_distance`.
        max_distance : float, optional
            Only histograms at most so far away, in grey levels.
        threads : int, optional
            They share the histograms, also of one query.

        Returns
        -------
        Neighbors
            Distances and ids, shape (k,) or (q, k), nearest first, ties to the lower id: to the
            last bit those of a full sort. A single query has fewer where fewer are within
            `max_distance`; of several, the rest is infinity and -1.
            ``imgsim_fast.merge_neighbors`` merges those of several indexes.

        Raises
        ------
        InvalidInputError
            As :func:`imgsim_fast.knn`; k is None without `max_distance`, or for several queries.
        IndexCorruptError
            A segment is not what the catalogue says, or a row that was looked at is empty. Their
            data are not read on opening: :meth:`verify` does that.

        Notes
        -----
        Codes in k-d trees: boxes, n / 256 of them, and the few codes they cannot rule out are read
        (Friedman, Bentley, Finkel, ACM TOMS 3, 1977; docs/scale.md has figures); O(n) time where
        all histograms are alike. Memory: what the system caches of 22 n bytes.
        """
        query = HistogramQuery.of(self._measure, rows, k, max_distance)
        return query.search(self._reader.histograms(), _threads.resolve(threads))

    def duplicates(
        self,
        threshold: float | None = None,
        *,
        reference: Index | PathLike | None = None,
        confirm: str | Measure | None = None,
        confirm_threshold: float | None = None,
        confirm_options: Mapping[str, Any] | None = None,
        threads: int | None = None,
        progress: Progress | None = None,
    ) -> Duplicates:
        """Group near-identical images. Nothing is deleted.

        Two images are linked by a value within the threshold, or by files of equal contents; a
        group is what is linked, directly or by others. A pair's value is that of the image with
        the lower id as the query (of the image that is not in the reference).

        Parameters
        ----------
        threshold : float, optional
            Largest distance (least similarity) of a pair; default: the measure's `near_identical`.
        reference : Index or path, optional
            Only pairs of an image and one of the reference: of another index by the same measure,
            whose files are then not looked for in this one, or of a folder inside what is indexed.
        confirm : str or Measure, optional
            Another measure that a pair must pass as well. The files of near pairs are read again;
            those that have gone or changed are listed in ``skipped``, and their pairs do not count.
        confirm_threshold : float, optional
            As `threshold`, for that measure.
        confirm_options : mapping, optional
            Options of that measure.
        threads : int, optional
        progress : callable, optional
            Called with the number of images compared so far.

        Returns
        -------
        Duplicates
            The same for any number of threads.

        Raises
        ------
        InvalidInputError
            No image lies in the reference, or all do; the reference is this index;
            more than ten million pairs are to be confirmed.
        IndexMismatchError
            The reference was made with another measure or other options.

        Notes
        -----
        O(n**2) values for n images of different contents, O(n) memory; with `confirm` beyond the
        near pairs, 24 bytes each. By
        "wasserstein" only pairs of nearly the same mean are compared: no other can be near.
        """
        criterion = Criterion.of("threshold", self._measure, threshold)
        second = confirmation_of(confirm, confirm_threshold, confirm_options)
        workers = _threads.resolve(threads)
        given = reference._reader if isinstance(reference, Index) else reference
        own, there = sides_of(self._reader, given)
        return find_duplicates(own, there, criterion, second, workers, progress)

    def holds(self, folder: PathLike) -> bool:
        """Tell whether any image of the index lies in a folder."""
        return self._reader.holds(absolute_folder(folder))

    def describe(self, image: ImageLike | Image) -> NDArray[Any]:
        """Describe any image as this index would, without adding it."""
        return describe(self._measure, image)

    def images(self, ids: Iterable[int]) -> list[IndexedImage]:
        """Return what the index holds about images, by id, in the order given.

        Raises
        ------
        InvalidInputError
            An id is not in the index.
        """
        try:
            numbers = [_validate.as_count("id", number) for number in ids]
        except TypeError as error:
            raise InvalidTypeError(f"ids must be an iterable of integers: {error}") from error
        return self._reader.images(numbers)

    # ---- looking after it ----------------------------------------------------------------------

    def stats(self) -> IndexStats:
        """Count what the index holds."""
        with self._reader.lock:
            return stats_of(self._reader.catalog)

    def verify(self) -> list[str]:
        """Check every byte and every cross-reference; return what is wrong, nothing when sound."""
        with self._reader.lock:
            return problems_of(self._reader.catalog, self._measure)
