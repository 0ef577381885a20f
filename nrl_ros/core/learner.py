"""The learner: one policy network that serves many agents and learns from broadcast RPEs."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nrl_ros.core.credit import Creditable, CreditWindows
from nrl_ros.core.errors import (
    CheckpointError,
    ConfigError,
    InvalidValueError,
    NrlError,
    ProtocolError,
    ShapeError,
)
from nrl_ros.core.heads import PolicyHead, SoftmaxHead, make_head
from nrl_ros.core.kernels import NativeEligibility, NativePasses, NativeSoftmax, suits
from nrl_ros.core.network import Network, NetworkSpec, Passes, xavier_normal
from nrl_ros.core.noise import NOISE_SHAPES, NoiseStream, agent_generators, generator_state
from nrl_ros.core.plasticity import NodePerturbation
from nrl_ros.core.traces import TRACE_KINDS, make_store
from nrl_ros.core.types import (
    ActionBatch,
    ActionKind,
    ActionSpace,
    AgentInfo,
    RpeBatch,
    StateBatch,
)

Array = NDArray[Any]

COUNTERS = (
    'duplicate_states',
    'out_of_order_states',
    'lost_states',
    'invalid_states',
    'unknown_agent_messages',
    'wrong_session_messages',
    'unapplied_steps',
    'late_rpes',
    'duplicate_rpes',
    'unknown_window_rpes',
    'invalid_rpes',
    'ignored_rpes',
    'released_windows',
    'aborted_windows',
    'rejected_updates',
)


# Postsynaptic rows [K, B, N] and presynaptic rows [K, B, M] of one step, when called.
_Rows = Callable[[], tuple[Array, Array]]


@dataclass(frozen=True)
class LearnerSettings:
    """What fixes a learner.

    Attributes:
        hidden: neurons of each hidden layer.
        bias: give each layer one more input that is always 1.
        leak: slope of the LeakyReLU below zero [1].
        rule: the plasticity rule.
        learning_rate: eta, weight change per unit RPE and trace [1], not negative.
        noise_shape: a key of NOISE_SHAPES.
        action_from: draw the action from the 'clean' policy (authors) or the 'noisy' one (paper).
        action_std: of the Gaussian head, in units of half the action range [1].
        learn_std: let the network set the standard deviation of the Gaussian head.
        trace_kind: 'auto', 'dense' or 'factored'.
        trace_decay: factor of the trace per step, in (0, 1]; 1 sums.
        max_late_windows: closed windows kept for each instance while their RPE is late.
        seed: fixes weights, noise and actions.
        precision: 'float32' or 'float64'.
    """

    hidden: tuple[int, ...] = (64,)
    bias: bool = False
    leak: float = 0.1
    rule: NodePerturbation = field(default_factory=NodePerturbation)
    learning_rate: float = 1e-3
    noise_shape: str = 'gaussian'
    action_from: str = 'clean'
    action_std: float = 0.5
    learn_std: bool = False
    trace_kind: str = 'auto'
    trace_decay: float = 1.0
    max_late_windows: int = 16
    seed: int = 0
    precision: str = 'float32'

    def __post_init__(self) -> None:
        """Check the settings."""
        if not (math.isfinite(self.learning_rate) and self.learning_rate >= 0.0):
            raise ConfigError(f'learning_rate must be >= 0, received {self.learning_rate}')
        allowed = {
            'noise_shape': tuple(NOISE_SHAPES),
            'action_from': ('clean', 'noisy'),
            'trace_kind': TRACE_KINDS,
            'precision': ('float32', 'float64'),
        }
        for name, choices in allowed.items():
            if getattr(self, name) not in choices:
                raise ConfigError(f'{name}: expected {choices}, received {getattr(self, name)!r}')
        if self.max_late_windows < 0 or self.seed < 0:
            raise ConfigError('max_late_windows and seed must not be negative')


class _Agent:
    """Everything the learner keeps for one agent."""

    def __init__(
        self,
        info: AgentInfo,
        network: Network,
        head: PolicyHead,
        settings: LearnerSettings,
        counters: Counter[str],
    ) -> None:
        batch = info.spec.instances
        rule, spec = settings.rule, network.spec
        self.info = info
        noise, self.action_generator = agent_generators(settings.seed, info.agent, 2)
        self.noise = NoiseStream(
            settings.noise_shape,
            noise,
            rows=batch * rule.samples,
            components=spec.noise_components,
            dtype=network.dtype,
        )
        self.stepper = _stepper(network, head, settings, batch)
        store = make_store(
            settings.trace_kind,
            spec,
            instances=batch,
            samples=rule.samples,
            decay=settings.trace_decay,
            window_steps=info.window_steps_hint,
            dtype=network.dtype,
        )
        self.credit = CreditWindows(store, batch, counters, max_late=settings.max_late_windows)
        self.baseline = np.zeros(batch)
        self.baseline_known = np.zeros(batch, np.bool_)
        self.sequence = -1
        self.answer: ActionBatch | None = None
        self.pending: StateBatch | None = None
        self._unrecorded: tuple[_Rows, StateBatch] | None = None

    def acted(self, rows: _Rows, state: StateBatch) -> None:
        """Note a step whose rows are not in the trace yet: the action is to go out first."""
        self._unrecorded = (rows, state)

    def settle(self) -> None:
        """Bring the newest step into the trace; due before anything else happens to it."""
        if self._unrecorded is not None:
            (rows, state), self._unrecorded = self._unrecorded, None
            self.credit.record(*rows(), state)


class _Stepper:
    """One step of B instances in numpy: passes, choice, and the rows that the trace takes."""

    def __init__(
        self, network: Network, head: PolicyHead, settings: LearnerSettings, batch: int
    ) -> None:
        self._spec = network.spec
        self._head = head
        self._shape = (settings.rule.samples, batch, -1)
        self._passes: Passes | NativePasses = Passes(network, batch, settings.rule.samples)
        self._quiet: Passes | NativePasses = Passes(network, batch, 0)

    def greedy(self, observation: Array) -> Array:
        """Most probable choice [B, A], without noise and without random numbers."""
        return self._head.greedy(self._quiet.run(observation, None, 0.0)[0])

    def explore(
        self,
        observation: Array,
        noise: Array,
        rule: NodePerturbation,
        generator: np.random.Generator,
        source: int,
    ) -> tuple[Array, _Rows]:
        """Choice [B, A] and the rows for the trace, to be asked for before the next step."""
        z = self._passes.run(observation, noise, rule.sigma)
        choice = self._head.draw(z[source], generator)
        log_probability = self._head.log_probability(z, choice)
        impact = log_probability[1:] - log_probability[0]

        def rows() -> tuple[Array, Array]:
            post = rule.postsynaptic_(noise.reshape(self._shape), impact, self._spec)
            return post, self._passes.presynaptic().reshape(self._shape)

        return choice, rows


class _NativeStepper(_Stepper):
    """The same with the compiled step; softmax heads too are compiled, others stay in numpy."""

    def __init__(
        self, network: Network, head: PolicyHead, settings: LearnerSettings, batch: int
    ) -> None:
        super().__init__(network, head, settings, batch)
        rule = settings.rule
        self._passes = NativePasses(network, batch, rule.samples)
        self._quiet = NativePasses(network, batch, 0)
        self._softmax = None
        if isinstance(head, SoftmaxHead):
            self._softmax = NativeSoftmax(head.sizes, batch, rule.samples)
        self._eligibility = NativeEligibility(rule.norm_ends(network.spec), rule.samples * batch)

    def explore(
        self,
        observation: Array,
        noise: Array,
        rule: NodePerturbation,
        generator: np.random.Generator,
        source: int,
    ) -> tuple[Array, _Rows]:
        """As in numpy."""
        if self._softmax is None:
            return super().explore(observation, noise, rule, generator, source)
        z = self._passes.run(observation, noise, rule.sigma)
        choice, impact = self._softmax.draw(z, generator, source)

        def rows() -> tuple[Array, Array]:
            post = self._eligibility.rows(noise, impact, 1.0 / (rule.sigma * rule.samples))
            return post.reshape(self._shape), self._passes.presynaptic().reshape(self._shape)

        return choice, rows


def _stepper(network: Network, head: PolicyHead, settings: LearnerSettings, batch: int) -> _Stepper:
    return (_NativeStepper if suits(network) else _Stepper)(network, head, settings, batch)


class Learner:
    """Acts upon states, keeps traces, and learns when an RPE arrives.

    The first agent that joins sets the sizes of the network; later ones must fit. Nothing here
    waits, reads a clock or logs: refused input raises one NrlError and is counted.

    Attributes:
        counters: what was lost, late, doubled, released or refused, by name.
        frozen: act as always, learn nothing.
        evaluating: act greedily and without noise, learn nothing.
        at_boundary: called between learning and acting, where a snapshot continues bit for bit;
            what it returns is the ``checkpoint`` of the action.
    """

    def __init__(self, settings: LearnerSettings) -> None:
        self._settings = settings
        self._network: Network | None = None
        self._head: PolicyHead | None = None
        self._space: ActionSpace | None = None
        self._agents: dict[str, _Agent] = {}
        self._restored: dict[str, Any] = {}
        self._scales: list[float] = []
        self._total: list[Array] = []
        self._frozen = False
        self._evaluating = False
        self.counters: Counter[str] = Counter(dict.fromkeys(COUNTERS, 0))
        self.states = 0
        self.steps = 0
        self.updates = 0
        self.windows_learned = 0
        self.absolute_rpe_sum = 0.0
        self.at_boundary: Callable[[], int] = lambda: 0

    # ---------------------------------------------------------------- settings

    @property
    def settings(self) -> LearnerSettings:
        """Settings in force."""
        return self._settings

    def set_learning_rate(self, learning_rate: float) -> None:
        """Change eta from the next update on."""
        self._settings = replace(self._settings, learning_rate=learning_rate)

    def set_sigma(self, sigma: float) -> None:
        """Change the noise from the next step on; recorded traces keep theirs."""
        rule = replace(self._settings.rule, sigma=sigma)
        self._settings = replace(self._settings, rule=rule)

    @property
    def frozen(self) -> bool:
        """Whether the learner acts without learning."""
        return self._frozen

    @frozen.setter
    def frozen(self, value: bool) -> None:
        self._frozen = value
        if value:
            self._release_all()

    @property
    def evaluating(self) -> bool:
        """Whether the learner acts greedily, without noise and without learning."""
        return self._evaluating

    @evaluating.setter
    def evaluating(self, value: bool) -> None:
        self._evaluating = value
        if value:
            self._release_all()

    def _release_all(self) -> None:
        for agent in self._agents.values():
            agent.settle()
            agent.credit.release_all()

    @property
    def learning(self) -> bool:
        """Whether RPEs change weights."""
        return not (self._frozen or self._evaluating)

    @property
    def weights(self) -> list[Array]:
        """Copies of the weight matrices [out, in], empty before the first agent joins."""
        return [] if self._network is None else [w.copy() for w in self._network.weights]

    @property
    def weight_norm(self) -> float:
        """Frobenius norm over all layers [1]."""
        if self._network is None:
            return 0.0
        return math.sqrt(sum(float(np.vdot(w, w)) for w in self._network.weights))

    @property
    def windows_open(self) -> int:
        """Windows of all agents that still have a trace."""
        for agent in self._agents.values():
            agent.settle()
        return sum(agent.credit.open_count for agent in self._agents.values())

    @property
    def agents(self) -> dict[str, AgentInfo]:
        """Agents served, by name."""
        return {name: agent.info for name, agent in self._agents.items()}

    def trace_kind(self, agent: str) -> str:
        """How the traces of an agent are kept: 'dense' or 'factored'."""
        return self._agents[agent].credit.store.kind

    # ------------------------------------------------------------------ agents

    def join(self, info: AgentInfo) -> None:
        """Serve an agent from now on; a known one in a new session starts with empty traces.

        Raises:
            ShapeError: its spaces do not fit the network.
        """
        known = self._agents.get(info.agent)
        if known is not None:
            if known.info == info:
                return
            self.leave(info.agent)
        if self._network is None:
            self._build(info)
        assert self._network is not None and self._head is not None
        expected = (self._network.spec.inputs, self._space)
        if (info.spec.observation_size, info.spec.action) != expected:
            raise ShapeError(
                f'agent {info.agent!r} has {info.spec.observation_size} observations and '
                f'{info.spec.action}, the network expects {expected[0]} and {expected[1]}; '
                'start another learner, in another namespace, for it'
            )
        agent = _Agent(info, self._network, self._head, self._settings, self.counters)
        self._agents[info.agent] = agent
        saved = self._restored.pop(info.agent, None)
        if saved is not None:
            self._restore_agent(agent, saved)
        agent.noise.prepare()

    def _build(self, info: AgentInfo) -> None:
        settings = self._settings
        self._head = make_head(
            info.spec.action, action_std=settings.action_std, learn_std=settings.learn_std
        )
        self._space = info.spec.action
        spec = NetworkSpec(
            info.spec.observation_size,
            settings.hidden,
            self._head.outputs,
            bias=settings.bias,
            leak=settings.leak,
        )
        generator = np.random.Generator(np.random.SFC64(np.random.SeedSequence(settings.seed)))
        self._set_network(
            Network(spec, xavier_normal(spec, generator, np.dtype(settings.precision)))
        )

    def _set_network(self, network: Network) -> None:
        self._network = network
        self._scales = self._settings.rule.scales(network.spec)
        self._total = [np.zeros_like(weight) for weight in network.weights]

    def leave(self, name: str) -> int:
        """Stop serving an agent and release its windows.

        Returns:
            How many windows were released.
        """
        agent = self._agents.pop(name, None)
        if agent is None:
            return 0
        agent.settle()
        released = agent.credit.release_all()
        # Baselines and generators are kept for its return, and for checkpoints until then.
        self._restored[name] = _agent_data(agent)
        return released

    # ------------------------------------------------------------------ acting

    def receive(self, state: StateBatch) -> ActionBatch | None:
        """Take a state: close windows, learn from what is due, act.

        In lockstep, a state that closes windows waits until their RPEs are here, so that they
        change the weights before the next action; ``reinforce`` then returns the action.

        Returns:
            The actions; for a state seen before the same ones again; None when RPEs are awaited.

        Raises:
            ProtocolError: unknown agent, other session, or out of order.
            ShapeError: arrays do not fit the agent's spaces.
            InvalidValueError: an observation is not finite.
        """
        agent = self._known(state.agent, state.session, 'state')
        agent.settle()
        if state.sequence <= agent.sequence:
            return self._again(agent, state)
        pending = agent.pending
        if pending is not None and pending.sequence == state.sequence:
            self.counters['duplicate_states'] += 1
            return None
        try:
            _check_state(state, agent.info)
            agent.credit.check(state)
        except NrlError:
            self.counters['invalid_states'] += 1
            raise
        lost = state.sequence - agent.sequence - 1
        if lost and agent.sequence >= 0:
            self.counters['lost_states'] += lost
            # What this state says of the newest action is not about the one recorded last.
            agent.credit.forget_newest()
        creditable = agent.credit.observe(state)
        if creditable is not None:
            self._learn(agent, creditable)
        if agent.info.lockstep and agent.credit.waiting:
            agent.pending = state
            return None
        return self._act(agent, state)

    def awaiting(self, name: str) -> StateBatch | None:
        """The state of an agent that waits for RPEs, if any."""
        agent = self._agents.get(name)
        return None if agent is None else agent.pending

    def release_waiting(self, name: str) -> ActionBatch | None:
        """Give up waiting for RPEs that do not come: release their windows and act.

        Returns:
            The action for the state that waited, None when none did.
        """
        agent = self._agents.get(name)
        if agent is None or agent.pending is None:
            return None
        agent.settle()
        agent.credit.release_waiting()
        return self._act(agent, agent.pending)

    def _again(self, agent: _Agent, state: StateBatch) -> ActionBatch | None:
        if agent.answer is not None and state.sequence == agent.answer.sequence:
            self.counters['duplicate_states'] += 1
            return agent.answer
        self.counters['out_of_order_states'] += 1
        raise ProtocolError(
            f'agent {state.agent!r}: state {state.sequence} came after state {agent.sequence}'
        )

    def _act(self, agent: _Agent, state: StateBatch) -> ActionBatch:
        assert self._head is not None and self._network is not None
        head, settings = self._head, self._settings
        agent.pending = None
        checkpoint = self.at_boundary()
        if self._evaluating:
            choice = agent.stepper.greedy(state.observation)
        else:
            noise = agent.noise.next()
            source = int(settings.action_from == 'noisy')
            choice, rows = agent.stepper.explore(
                state.observation, noise, settings.rule, agent.action_generator, source
            )
            if not self._frozen:
                agent.acted(rows, state)
        answer = ActionBatch(
            state.agent,
            state.session,
            state.sequence,
            state.episode,
            state.step,
            state.window,
            head.to_action(choice),
            checkpoint,
            state.stamp_ns,
        )
        agent.sequence = state.sequence
        agent.answer = answer
        self.states += 1
        self.steps += len(state.phase)
        return answer

    def prepare(self) -> None:
        """Do what the last actions left over, draw noise ahead; for when nothing else is to do."""
        for agent in self._agents.values():
            agent.settle()
            if not self._evaluating:
                agent.noise.prepare()

    # ---------------------------------------------------------------- learning

    def reinforce(self, rpe: RpeBatch) -> ActionBatch | None:
        """Learn from reward-prediction errors; those for an open window are held until it closes.

        Returns:
            The action for a state that waited for them, None otherwise.

        Raises:
            ProtocolError: unknown agent or other session.
            ShapeError: arrays of unequal length.
            InvalidValueError: an RPE is not finite, or an instance does not exist or is named
                twice.
        """
        agent = self._known(rpe.agent, rpe.session, 'reward-prediction error')
        agent.settle()
        try:
            _check_rpe(rpe, agent.info)
        except NrlError:
            self.counters['invalid_rpes'] += 1
            raise
        agent.baseline[rpe.instance] = rpe.baseline
        agent.baseline_known[rpe.instance] = True
        if not self.learning:
            self.counters['ignored_rpes'] += len(rpe.instance)
        else:
            creditable = agent.credit.reinforce(rpe.instance, rpe.window, rpe.rpe)
            if creditable is not None:
                self._learn(agent, creditable)
        if agent.pending is not None and not agent.credit.waiting:
            return self._act(agent, agent.pending)
        return None

    def _learn(self, agent: _Agent, creditable: Creditable) -> None:
        """``W_l <- W_l + eta c_l sum_i delta_i e_l,i``."""
        assert self._network is not None
        for total in self._total:
            total.fill(0.0)
        if len(creditable.instances):
            agent.credit.store.add_to(self._total, creditable.instances, creditable.rpe)
        for trace, delta in creditable.late:
            trace.add_to(self._total, delta, self._network.spec)
        if not all(np.isfinite(total).all() for total in self._total):
            # One overflow would ruin the weights for ever.
            self.counters['rejected_updates'] += 1
            return
        rate = self._settings.learning_rate
        for layer, matrix in enumerate(self._network.weights):
            self._total[layer] *= rate * self._scales[layer]
            matrix += self._total[layer]
        self.updates += 1
        self.windows_learned += len(creditable.instances) + len(creditable.late)
        self.absolute_rpe_sum += float(np.abs(creditable.rpe).sum())
        self.absolute_rpe_sum += sum(abs(value) for _, value in creditable.late)

    def _known(self, name: str, session: int, what: str) -> _Agent:
        agent = self._agents.get(name)
        if agent is None:
            self.counters['unknown_agent_messages'] += 1
            raise ProtocolError(
                f'{what} of unknown agent {name!r}, known are {list(self._agents)}; '
                'its environment must publish env_info first'
            )
        if agent.info.session != session:
            self.counters['wrong_session_messages'] += 1
            raise ProtocolError(
                f'{what} of agent {name!r} is of session {session:#x}, '
                f'expected {agent.info.session:#x}: it was sent before a restart'
            )
        return agent

    # -------------------------------------------------------------- checkpoint

    def snapshot(self) -> dict[str, Any]:
        """Everything that decides the future, as plain data and arrays (copies)."""
        for agent in self._agents.values():
            agent.settle()
        return {
            'settings': self._fingerprint(),
            'learning_rate': self._settings.learning_rate,
            'sigma': self._settings.rule.sigma,
            'space': _space_data(self._space),
            'network': None if self._network is None else _network_data(self._network),
            'agents': {name: _agent_data(agent) for name, agent in self._agents.items()}
            | self._restored,
            'counters': dict(self.counters),
            'totals': [self.states, self.steps, self.updates, self.windows_learned],
        }

    def _fingerprint(self) -> dict[str, Any]:
        """Settings that decide what saved arrays mean."""
        settings = self._settings
        return {
            'hidden': list(settings.hidden),
            'bias': settings.bias,
            'leak': settings.leak,
            'precision': settings.precision,
            'learn_std': settings.learn_std,
            'samples': settings.rule.samples,
            'noise_shape': settings.noise_shape,
        }

    def restore(self, snapshot: dict[str, Any]) -> None:
        """Replace the learner's state; agents continue when they are of the same session.

        Raises:
            CheckpointError: the snapshot is one of another network; nothing was changed.
        """
        before = dict(vars(self))
        try:
            self._restore(snapshot)
        except CheckpointError:
            vars(self).update(before)
            raise
        except (NrlError, LookupError, TypeError, ValueError, AttributeError) as error:
            vars(self).update(before)
            raise CheckpointError(
                f'the content of the checkpoint does not fit: {type(error).__name__}: {error}; '
                'it was written by another version of nrl_ros'
            ) from error

    def _restore(self, snapshot: dict[str, Any]) -> None:
        """Replace the state, attribute by attribute: what is replaced is itself left as it was."""
        expected, received = self._fingerprint(), snapshot['settings']
        if expected != received:
            different = {
                key: (received.get(key), value)
                for key, value in expected.items()
                if received.get(key) != value
            }
            raise CheckpointError(
                f'the checkpoint is of another network: (received, expected) {different}; '
                'start the learner with the settings of the checkpoint'
            )
        data = snapshot['network']
        space = _space_of(snapshot['space'])
        if self._space is not None and space is not None and self._space != space:
            raise CheckpointError(
                f'the checkpoint is for {space}, the environment has {self._space}'
            )
        network = None
        if data is not None:
            spec = NetworkSpec(
                data['inputs'],
                self._settings.hidden,
                data['outputs'],
                bias=self._settings.bias,
                leak=self._settings.leak,
            )
            if self._network is not None and self._network.spec != spec:
                raise CheckpointError(
                    f'the checkpoint is of {spec}, the learner serves {self._network.spec}'
                )
            weights = [np.array(weight) for weight in data['weights']]
            if any(weight.dtype != self._settings.precision for weight in weights):
                raise CheckpointError(
                    f'the checkpoint has weights of {[str(w.dtype) for w in weights]}, '
                    f'expected {self._settings.precision}'
                )
            if not all(np.isfinite(weight).all() for weight in weights):
                raise CheckpointError('the checkpoint has weights that are not finite')
            network = Network(spec, weights)
        infos = self.agents
        self._agents = {}
        self._network, self._head, self._space = None, None, None
        if network is not None and space is not None:
            self._set_network(network)
            self._space = space
            self._head = make_head(
                space, action_std=self._settings.action_std, learn_std=self._settings.learn_std
            )
        self._restored = dict(snapshot['agents'])
        self.set_learning_rate(snapshot['learning_rate'])
        self.set_sigma(snapshot['sigma'])
        self.counters = Counter(dict.fromkeys(COUNTERS, 0) | snapshot['counters'])
        self.states, self.steps, self.updates, self.windows_learned = snapshot['totals']
        for info in infos.values():
            self.join(info)

    def _restore_agent(self, agent: _Agent, saved: dict[str, Any]) -> None:
        if saved['instances'] != agent.info.spec.instances:
            # Another number of instances: its traces and generators mean nothing here.
            return
        agent.noise.restore(saved['noise'])
        agent.action_generator.bit_generator.state = saved['action_generator']
        agent.baseline[...] = saved['baseline']
        agent.baseline_known[...] = saved['baseline_known']
        credit = saved['credit']
        if saved['session'] != agent.info.session:
            self.counters['released_windows'] += int(credit['arrays']['has_rows'].sum())
            self.counters['released_windows'] += len(credit['late'])
            return
        if credit['store']['kind'] != agent.credit.store.kind:
            raise CheckpointError(
                f'traces were kept {credit["store"]["kind"]}, expected {agent.credit.store.kind}'
            )
        agent.credit.restore(credit)
        agent.sequence = saved['sequence']

    def baselines(self) -> dict[str, Any]:
        """Running-average rewards as the neuromodulator last broadcast them, by agent."""
        return {
            name: {'baseline': agent.baseline.copy(), 'known': agent.baseline_known.copy()}
            for name, agent in self._agents.items()
        }


def _agent_data(agent: _Agent) -> dict[str, Any]:
    return {
        'session': agent.info.session,
        'instances': agent.info.spec.instances,
        'sequence': agent.sequence,
        'noise': agent.noise.snapshot(),
        'action_generator': generator_state(agent.action_generator),
        'baseline': agent.baseline.copy(),
        'baseline_known': agent.baseline_known.copy(),
        'credit': agent.credit.snapshot(),
    }


def _network_data(network: Network) -> dict[str, Any]:
    return {
        'inputs': network.spec.inputs,
        'outputs': network.spec.outputs,
        'weights': [weight.copy() for weight in network.weights],
    }


def _space_data(space: ActionSpace | None) -> dict[str, Any] | None:
    if space is None:
        return None
    return {
        'kind': int(space.kind),
        'sizes': list(space.sizes),
        'low': list(space.low),
        'high': list(space.high),
    }


def _space_of(data: dict[str, Any] | None) -> ActionSpace | None:
    if data is None:
        return None
    return ActionSpace(
        ActionKind(data['kind']), tuple(data['sizes']), tuple(data['low']), tuple(data['high'])
    )


def _check_state(state: StateBatch, info: AgentInfo) -> None:
    batch, size = info.spec.instances, info.spec.observation_size
    if state.observation.shape != (batch, size):
        raise ShapeError(
            f'state {state.sequence} of {state.agent!r}: expected observations {(batch, size)}, '
            f'received {state.observation.shape}'
        )
    for name in ('episode', 'step', 'window', 'phase', 'ending', 'applied'):
        received = getattr(state, name).shape
        if received != (batch,):
            raise ShapeError(
                f'state {state.sequence} of {state.agent!r}: expected {batch} values of {name}, '
                f'received {received}'
            )
    if not np.isfinite(state.observation).all():
        bad = np.flatnonzero(~np.isfinite(state.observation).all(axis=1))
        raise InvalidValueError(
            f'state {state.sequence} of {state.agent!r}: observation of instance {int(bad[0])} is '
            f'{state.observation[bad[0]].tolist()}, expected finite numbers'
        )


def _check_rpe(rpe: RpeBatch, info: AgentInfo) -> None:
    count = len(rpe.instance)
    for name in ('window', 'reward', 'baseline', 'rpe'):
        if len(getattr(rpe, name)) != count:
            raise ShapeError(
                f'RPE {rpe.sequence} of {rpe.agent!r}: expected {count} values of {name}, '
                f'received {len(getattr(rpe, name))}'
            )
    if not count:
        return
    if not (np.isfinite(rpe.rpe).all() and np.isfinite(rpe.baseline).all()):
        raise InvalidValueError(
            f'RPE {rpe.sequence} of {rpe.agent!r}: received rpe {rpe.rpe.tolist()} and baseline '
            f'{rpe.baseline.tolist()}, expected finite numbers'
        )
    if int(rpe.instance.max()) >= info.spec.instances:
        raise InvalidValueError(
            f'RPE {rpe.sequence} of {rpe.agent!r}: instance {int(rpe.instance.max())} does not '
            f'exist, expected less than {info.spec.instances}'
        )
    if count > 1 and np.any(np.diff(rpe.instance.astype(np.int64)) <= 0):
        raise InvalidValueError(
            f'RPE {rpe.sequence} of {rpe.agent!r}: instances must be in rising order'
        )
