"""PPO in CleanRL's manner, written from its published description, to be read from top to bottom.

Huang et al., "CleanRL" (JMLR 2022) and "The 37 Implementation Details of Proximal Policy Optimization" (ICLR blog
track 2022): one loop over a synchronous vector environment, torch tensors throughout, orthogonal weights (gain √2,
0.01 for the actor's head, 1 for the critic's), Adam with eps 1e-5, a falling learning rate, generalised advantages,
shuffled minibatches with normalised advantages, a clipped value loss, and a bound on the gradient's norm.
"""

from __future__ import annotations

import time
from typing import Any

import gymnasium
import numpy as np
import torch
from torch import nn, optim
from torch.distributions.categorical import Categorical

from peers.common import Answer, Meeting, Played, Task, answer, judged, peak_mb, since_start, warm_up_steps

__all__ = ["play"]


def play(task: Task, meet: Meeting) -> Answer:
    torch.set_num_threads(1)
    if task.warm:
        learn(task, warm_up_steps(task))
    meet()
    began = time.perf_counter()
    agents = [learn(task.member(index), task.steps) for index in range(task.members)]
    seconds, since, memory = time.perf_counter() - began, since_start(task), peak_mb()
    scores = tuple(judged(task, played(task, agent)) for agent in agents) if task.judge_it else ()
    rollout = task.settings["num_envs"] * task.settings["num_steps"]
    steps = task.members * max(1, task.steps // rollout) * rollout
    return Answer(steps=steps, seconds=seconds, since_start=since, peak_mb=memory, scores=scores)


def layer(inputs: int, outputs: int, gain: float = 2.0**0.5) -> nn.Linear:
    made = nn.Linear(inputs, outputs)
    nn.init.orthogonal_(made.weight, gain)
    nn.init.constant_(made.bias, 0.0)
    return made


def perceptron(inputs: int, hidden: tuple[int, ...], outputs: int, gain: float) -> nn.Sequential:
    layers: list[nn.Module] = []
    for size in hidden:
        layers += [layer(inputs, size), nn.Tanh()]
        inputs = size
    return nn.Sequential(*layers, layer(inputs, outputs, gain))


class Agent(nn.Module):
    def __init__(self, envs: Any, hidden: tuple[int, ...]) -> None:
        super().__init__()
        inputs = int(np.prod(envs.single_observation_space.shape))
        self.critic = perceptron(inputs, hidden, 1, 1.0)
        self.actor = perceptron(inputs, hidden, int(envs.single_action_space.n), 0.01)

    def value(self, x: torch.Tensor) -> torch.Tensor:
        return self.critic(x)  # type: ignore[no-any-return]

    def action_and_value(
        self, x: torch.Tensor, action: torch.Tensor | None = None
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
        probs: Any = Categorical(logits=self.actor(x))
        action = probs.sample() if action is None else action
        return action, probs.log_prob(action), probs.entropy(), self.critic(x)


def environments(task: Task) -> Any:
    """As published: episodes that end are reset within the step, and each environment records its returns."""

    def make() -> Any:
        return gymnasium.wrappers.RecordEpisodeStatistics(gymnasium.make(task.env))

    same_step = gymnasium.vector.AutoresetMode.SAME_STEP
    return gymnasium.vector.SyncVectorEnv([make] * task.settings["num_envs"], autoreset_mode=same_step)


def learn(task: Task, total: int) -> Agent:
    s = task.settings
    num_envs, num_steps, gamma, lam = s["num_envs"], s["num_steps"], s["gamma"], s["gae_lambda"]
    batch, clip = num_envs * num_steps, s["clip_coef"]
    updates = max(1, total // batch)
    torch.manual_seed(task.seed)
    rng = np.random.default_rng(task.seed)

    envs = environments(task)
    agent = Agent(envs, task.hidden)
    optimizer = optim.Adam(agent.parameters(), lr=s["learning_rate"], eps=1e-5)
    obs = torch.zeros((num_steps, num_envs, *envs.single_observation_space.shape))
    actions = torch.zeros((num_steps, num_envs))
    log_probs, rewards, dones, values = (torch.zeros((num_steps, num_envs)) for _ in range(4))
    next_obs = torch.Tensor(envs.reset(seed=task.seed)[0])
    next_done = torch.zeros(num_envs)

    for update in range(updates):
        if s["anneal_learning_rate"]:
            optimizer.param_groups[0]["lr"] = (1.0 - update / updates) * s["learning_rate"]

        for step in range(num_steps):
            obs[step], dones[step] = next_obs, next_done
            with torch.no_grad():
                action, log_prob, _, value = agent.action_and_value(next_obs)
            values[step], actions[step], log_probs[step] = value.flatten(), action, log_prob
            seen, reward, terminated, truncated, _ = envs.step(action.numpy())
            rewards[step] = torch.tensor(reward).view(-1)
            next_obs, next_done = torch.Tensor(seen), torch.Tensor(terminated | truncated)

        with torch.no_grad():
            next_value = agent.value(next_obs).reshape(1, -1)
            advantages = torch.zeros_like(rewards)
            running = torch.zeros(num_envs)
            for t in reversed(range(num_steps)):
                going_on = 1.0 - (next_done if t == num_steps - 1 else dones[t + 1])
                following = next_value if t == num_steps - 1 else values[t + 1]
                delta = rewards[t] + gamma * following * going_on - values[t]
                advantages[t] = running = delta + gamma * lam * going_on * running
            returns = advantages + values

        b_obs = obs.reshape((-1, *envs.single_observation_space.shape))
        b_actions, b_log_probs = actions.reshape(-1), log_probs.reshape(-1)
        b_advantages, b_returns, b_values = advantages.reshape(-1), returns.reshape(-1), values.reshape(-1)
        rows = np.arange(batch)
        for _ in range(s["update_epochs"]):
            rng.shuffle(rows)
            for start in range(0, batch, s["minibatch_size"]):
                some = rows[start : start + s["minibatch_size"]]
                _, new_log_prob, entropy, value = agent.action_and_value(b_obs[some], b_actions.long()[some])
                log_ratio = new_log_prob - b_log_probs[some]
                ratio = log_ratio.exp()
                with torch.no_grad():  # what it logs of every minibatch
                    _ = ((ratio - 1) - log_ratio).mean(), ((ratio - 1.0).abs() > clip).float().mean().item()

                advantage = b_advantages[some]
                advantage = (advantage - advantage.mean()) / (advantage.std() + 1e-8)
                policy_loss = torch.max(
                    -advantage * ratio, -advantage * torch.clamp(ratio, 1 - clip, 1 + clip)
                ).mean()
                value = value.view(-1)
                near = b_values[some] + torch.clamp(value - b_values[some], -clip, clip)
                value_loss = (
                    0.5 * torch.max((value - b_returns[some]) ** 2, (near - b_returns[some]) ** 2).mean()
                )
                loss = policy_loss - s["ent_coef"] * entropy.mean() + s["vf_coef"] * value_loss

                optimizer.zero_grad()
                loss.backward()
                nn.utils.clip_grad_norm_(agent.parameters(), s["max_grad_norm"])
                optimizer.step()
    envs.close()
    return agent


def played(task: Task, agent: Agent) -> Played:
    from peers.sb3 import spaces_of

    def choose(obs: Any, greedy: bool) -> Any:
        with torch.no_grad():
            logits = agent.actor(torch.as_tensor(obs))
        drawn: Any = Categorical(logits=logits)
        return (logits.argmax(1) if greedy else drawn.sample()).numpy()

    return Played(choose, *spaces_of(task))


if __name__ == "__main__":
    answer(play)
