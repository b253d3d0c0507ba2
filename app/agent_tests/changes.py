"""An agent with another prompt, model or policy, to see what that would change."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from app.calls.agent.from_settings import with_prompt
from app.calls.agent.profile import AgentProfile
from app.errors import SettingsError
from app.journal.what_if import UnknownSetting, changed_policy
from app.ports.vendors import LlmOptions

_POLICY = "policy."


@dataclass(frozen=True, slots=True)
class Changes:
    """What is to be other than the agent's file and the settings say."""

    prompt: Path | None = None
    """A text, or an agent's file whose prompt is taken."""
    model: str | None = None
    policy: Mapping[str, str] = field(default_factory=dict)
    """Numbers and switches of the policy, by name."""

    @property
    def asks_model(self) -> bool:
        """Whether only a model can say what would change."""
        return self.prompt is not None or self.model is not None

    def applied(self, agent: AgentProfile) -> AgentProfile:
        """The agent with the changes. Raises SettingsError."""
        if self.prompt is not None:
            agent = with_prompt(agent, self.prompt)
        if self.model is not None:
            agent = replace(agent, llm=LlmOptions(self.model))
        if not self.policy:
            return agent
        try:
            return replace(agent, policy=changed_policy(agent.policy, self.policy))
        except UnknownSetting as error:
            raise SettingsError([str(error)]) from error


NO_CHANGES = Changes()


def policy_settings(given: Mapping[str, str]) -> dict[str, str]:
    """The settings of ``policy.name`` by their names. Raises SettingsError for any other."""
    wrong = [name for name in given if not name.startswith(_POLICY)]
    if wrong:
        raise SettingsError(
            [f"--set {name}: only settings of the policy can be set: policy.name=value" for name in wrong]
        )
    return {name.removeprefix(_POLICY): value for name, value in given.items()}
