"""The joint solution against simulated truth, and against what each measurement says alone."""

import numpy as np
import pytest

from napari_microsr.registration.geometry import apply, corners, parts, similarity
from napari_microsr.registration.graph import solve
from napari_microsr.registration.links import Link, Node, loops_px, shared_points

OVERVIEW = (2748, 3584)
FIELD = (687, 896)


def disturbed(matrix, shape, error, rng):
    """The same placement with a random similarity on top, of `error` px on the mean over the field."""
    centre = apply(matrix, np.array([(shape[0] - 1) / 2, (shape[1] - 1) / 2]))
    half = np.linalg.norm(apply(matrix, corners(shape)) - centre, axis=1).mean() / 2
    shift = rng.normal(0, error / 2, 2)
    turn, grow = rng.normal(0, error / 2 / half, 2)
    wrong = similarity(np.exp(grow), np.degrees(turn), centre=tuple(centre), onto=tuple(centre + shift))
    return wrong @ matrix


def error(matrix, truth, shape=FIELD):
    points = shared_points(truth, shape, OVERVIEW)
    return np.sqrt((np.linalg.norm(apply(matrix, points) - apply(truth, points), axis=1) ** 2).mean())


@pytest.fixture
def slide(rng):
    """A field of middle magnification (number 0) and eight finer ones on it that overlap in a row."""
    truth = [similarity(1.62, 3.0, centre=(343, 447.5), onto=(1300, 1700))]
    for number in range(8):
        truth.append(
            similarity(0.4, -8.0, centre=(343, 447.5), onto=(1250 + rng.normal(), 1000 + 200 * number))
        )
    return truth


def measured(truth, rng, sigma=(0.2, 0.05, 0.01)):
    """Direct links, links to field 0 and links between neighbours, with errors of these overview pixels."""
    links = [Link(i, None, disturbed(m, FIELD, sigma[0], rng), sigma[0], shared_points(m, FIELD, OVERVIEW))
             for i, m in enumerate(truth)]  # fmt: skip
    pairs = [(i, 0, sigma[1]) for i in range(1, 9)] + [(i + 1, i, sigma[2]) for i in range(1, 8)]
    for moving, fixed, expected in pairs:
        true = np.linalg.inv(truth[fixed]) @ truth[moving]
        wrong = np.linalg.inv(truth[fixed]) @ disturbed(truth[moving], FIELD, expected, rng)
        points = shared_points(true, FIELD, FIELD)
        if len(points):
            links.append(Link(moving, fixed, wrong, expected, points))
    return links


@pytest.mark.parametrize("mirrored", [False, True])
@pytest.mark.parametrize("affine", [False, True])
def test_exact_measurements_give_the_truth(slide, rng, mirrored, affine):
    if mirrored:
        flip = np.array([[1, 0, 0], [0, -1, FIELD[1] - 1], [0, 0, 1.0]])
        slide = [m @ flip for m in slide]
    links = measured(slide, rng, (0, 0, 0))
    result = solve([Node(FIELD)] * 9, links, mirrored=mirrored, affine=affine)
    for number, true in enumerate(slide):
        np.testing.assert_allclose(result.matrices[number], true, atol=1e-6)
        assert parts(result.matrices[number]).mirrored == mirrored
    assert max(result.residuals_px) < 1e-6


def test_agreement_is_better_than_each_alone_and_says_how_good(slide):
    """Over many draws: errors fall, and the expected error is that of the draws."""
    alone, together, expected = [], [], []
    for seed in range(60):
        links = measured(slide, np.random.default_rng(seed))
        result = solve([Node(FIELD)] * 9, links, mirrored=False)
        alone += [error(links[i].matrix_yx, slide[i]) for i in range(9)]
        together += [error(result.matrices[i], slide[i]) for i in range(9)]
        expected += [result.errors_px[i] for i in range(9)]
    assert np.mean(together) < 0.7 * np.mean(alone)
    ratio = np.sqrt(np.mean(np.square(together))) / np.sqrt(np.mean(np.square(expected)))
    assert 0.75 < ratio < 1.33


def test_a_single_measurement_stays_as_it_is_with_its_own_error(slide, rng):
    link = Link(0, None, disturbed(slide[3], FIELD, 1, rng), 0.37, shared_points(slide[3], FIELD, OVERVIEW))
    for affine in (False, True):
        result = solve([Node(FIELD)], [link], mirrored=False, affine=affine)
        np.testing.assert_allclose(result.matrices[0], link.matrix_yx, atol=1e-8)
        assert result.errors_px[0] == pytest.approx(0.37, rel=1e-6)


@pytest.mark.parametrize("which", [0, 4, 12, 20])
def test_one_false_measurement_does_no_harm(slide, rng, which):
    """A direct one, the middle field's own, one on the middle field, one between neighbours."""
    links = measured(slide, rng)
    wrong = similarity(1.05, 20, centre=(0, 0), onto=(300, -200)) @ links[which].matrix_yx
    links[which] = Link(
        links[which].moving, links[which].fixed, wrong, links[which].error_px, links[which].points
    )
    result = solve([Node(FIELD)] * 9, links, mirrored=False)
    assert max(error(result.matrices[i], slide[i]) for i in range(9)) < 0.5
    assert int(np.argmax(result.residuals_px)) == which
    assert result.residuals_px[which] > 50


def test_a_field_without_its_own_answer_is_placed_by_its_links(slide, rng):
    links = [link for link in measured(slide, rng) if not (link.moving == 5 and link.fixed is None)]
    result = solve([Node(FIELD)] * 9, links, mirrored=False)
    assert error(result.matrices[5], slide[5]) < 0.3


def test_what_nothing_ties_to_the_overview_is_left_out(slide, rng):
    true = np.linalg.inv(slide[1]) @ slide[2]
    links = [
        Link(0, None, slide[0], 0.1, shared_points(slide[0], FIELD, OVERVIEW)),
        Link(2, 1, true, 0.1, shared_points(true, FIELD, FIELD)),
    ]
    result = solve([Node(FIELD)] * 4, links, mirrored=False)
    assert set(result.matrices) == {0}
    assert np.isnan(result.residuals_px[1])
    assert result.residuals_px[0] < 1e-6


def test_nothing_to_solve():
    assert solve([Node(FIELD)], [], mirrored=False).matrices == {}
    no_overlap = Link(0, None, np.eye(3), 0.1, np.zeros((0, 2)))
    assert solve([Node(FIELD)], [no_overlap], mirrored=False).matrices == {}


def test_a_known_field_stays_and_carries_its_neighbours(slide, rng):
    links = [link for link in measured(slide, rng, (0, 0, 0)) if link.fixed is not None]
    nodes = [Node(FIELD) for _ in slide]
    nodes[4] = Node(FIELD, known=slide[4])
    result = solve(nodes, links, mirrored=False)
    assert result.matrices[4] is nodes[4].known
    assert max(error(result.matrices[i], slide[i]) for i in range(9)) < 1e-5
    alone = solve(nodes, [], mirrored=False)
    assert set(alone.matrices) == {4}


def test_the_distortion_of_a_middle_field_is_undone_for_what_lies_on_it(slide):
    """A field placed only on a distorted field gets where it truly lies."""
    bent = np.array([[1.5, -0.7, 0.4], [0.3, 0.8, -1.1]])
    middle = Node(FIELD, quadratic_yx=bent)
    inner = similarity(0.25, -11, centre=(343, 447.5), onto=(200, 700))
    points = shared_points(inner, FIELD, FIELD)
    links = [
        Link(0, None, slide[0], 0.1, shared_points(slide[0], FIELD, OVERVIEW)),
        Link(1, 0, inner, 0.1, points),
    ]
    result = solve([middle, Node(FIELD)], links, mirrored=False, affine=True)
    on_middle = apply(inner, points)
    true = apply(slide[0], on_middle) + middle.bend(on_middle)
    got = apply(result.matrices[1], points)
    assert (
        np.linalg.norm(got - true, axis=1).max() < 0.1 < np.linalg.norm(middle.bend(on_middle), axis=1).min()
    )


def test_loops_measure_the_difference_of_the_two_ways():
    middle = similarity(2, 0, centre=(0, 0), onto=(10, 10))
    inner = similarity(0.25, 0, centre=(0, 0), onto=(50, 60))
    points = shared_points(inner, FIELD, FIELD)
    direct = similarity(1, 0, centre=(0, 0), onto=(3, 4)) @ middle @ inner
    links = [
        Link(0, None, middle, 1, points),
        Link(1, None, direct, 1, points),
        Link(1, 0, inner, 1, points),
        Link(2, 0, inner, 1, points),
    ]
    assert loops_px(links) == pytest.approx([5.0])


@pytest.mark.parametrize("shape", [(1, 1), (1, 40), (687, 896)])
def test_shared_points_cover_the_overlap(shape):
    points = shared_points(np.eye(3), shape, shape)
    assert points.shape == (25, 2)
    np.testing.assert_allclose(points.mean(axis=0), (np.array(shape) - 1) / 2, atol=1e-9)
    assert (points > -0.5).all()
    assert (points < np.array(shape) - 0.5).all()
    half = similarity(1, 0, centre=(0, 0), onto=(0, shape[1] / 2))
    assert (shared_points(half, shape, shape)[:, 1] < shape[1] / 2).all()
    away = similarity(1, 0, centre=(0, 0), onto=(0, shape[1] + 1))
    assert shared_points(away, shape, shape).shape == (0, 2)
