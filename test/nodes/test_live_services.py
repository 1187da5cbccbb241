# SPDX-License-Identifier: Apache-2.0
"""Every service answers in every state of its node, also when the node is deactivated while it works."""

from __future__ import annotations

import pytest
from std_srvs.srv import Trigger

from neuralfusion_ros.nodes.translator_node import TranslatorNode

pytestmark = pytest.mark.timeout(300)

SERVICES = {
    "fusion_node": ["reset", "pause", "resume", "save_map", "load_map"],
    "translator_node": ["save_mesh"],
}


@pytest.fixture
def both(live, tmp_path):
    """The two nodes, and a function that calls a service of theirs; it gives a future."""
    robot = live("-p", f"map_directory:={tmp_path}")
    translator = TranslatorNode()
    robot.add(translator)
    clients = {
        f"{node}/{name}": robot.robot.create_client(Trigger, f"/{node}/{name}")
        for node, names in SERVICES.items()
        for name in names
    }
    robot.wait(lambda: all(client.service_is_ready() for client in clients.values()))
    yield robot, [robot.node, translator], {name: client.call_async for name, client in clients.items()}
    translator.end()
    translator.destroy_node()


def test_they_answer_in_every_state(both):
    robot, nodes, services = both

    def answers():
        pending = {name: call(Trigger.Request()) for name, call in services.items()}
        robot.wait(lambda: all(future.done() for future in pending.values()))
        return {name: future.result() for name, future in pending.items()}

    assert answers()["fusion_node/save_map"].success
    for change, state in (("deactivate", "inactive"), ("cleanup", "unconfigured"), ("configure", "inactive")):
        for node in nodes:
            getattr(node, f"trigger_{change}")()
        for name, answer in answers().items():
            assert not answer.success and f"The node is {state}, not active" in answer.message, name
    for node in nodes:
        node.trigger_activate()
    assert answers()["fusion_node/reset"].success


@pytest.mark.parametrize("rounds", [5])
def test_a_node_that_is_deactivated_while_it_works_still_answers(both, rounds):
    robot, nodes, services = both
    for _ in range(rounds):
        pending = [call(Trigger.Request()) for call in services.values() for _ in range(3)]
        robot.wait(lambda: any(future.done() for future in pending))  # noqa: B023
        for node in nodes:
            node.trigger_deactivate()
        robot.wait(lambda: all(future.done() for future in pending))  # noqa: B023
        assert all(future.result().message for future in pending)
        for node in nodes:
            node.trigger_activate()


def test_the_translator_tells_that_the_fusion_node_has_gone(both):
    robot, (fusion, translator), _ = both
    robot.wait(lambda: translator.report().values["in_step"] is True)
    assert translator.report().problem == ""
    fusion.trigger_deactivate()
    fusion.trigger_cleanup()
    robot.wait(lambda: translator.report().problem == "nobody publishes /latent_blocks any more")
    fusion.trigger_configure()
    fusion.trigger_activate()
    robot.wait(lambda: translator.report().problem == "")
