"""Names of topics, services, nodes and frames, all relative: the namespace selects the fleet."""

ENV_INFO = 'env_info'
STATE = 'state'
ACTION = 'action'
REWARD = 'reward'
NEUROMODULATION = 'neuromodulation'
EPISODES = 'episodes'
# With the name of the environment behind a slash.
LEARNING_CURVE = 'learning_curve'
ENV_STATUS = 'env_status'
LEARNER_STATUS = 'learner_status'
NEUROMODULATOR_STATUS = 'neuromodulator_status'
LEARNER_ORDER = 'learner_order'
LEARNER_START = 'learner_start'
RECORDER_STATUS = 'recorder_status'
# What a learner learns from, and the order in which it did: of these a recording may lack nothing.
LEARNED_FROM = (STATE, ACTION, REWARD, NEUROMODULATION, LEARNER_ORDER)

# What people say. The first two also exist with the name of one environment behind a slash.
HUMAN_REWARD = 'human_reward'
INTERVENTION = 'intervention'
HUMAN_REWARD_GIVEN = 'human_reward_given'
JOY = 'joy'

SAVE_CHECKPOINT = '~/save_checkpoint'
LOAD_CHECKPOINT = '~/load_checkpoint'
FREEZE = '~/freeze'
EVALUATE = '~/evaluate'
APPROVE = '~/approve'
GET_STATE = '~/get_learner_state'
PAUSE = '~/pause'
END_EPISODE = '~/end_episode'
GO = '~/go'

LEARNER = 'learner'
NEUROMODULATOR = 'neuromodulator'
ENVIRONMENT = 'environment'
POLICY = 'policy'
SAFETY = 'safety'
WATCHDOG = 'watchdog'
RECORDER = 'recorder'
PAGE = 'page'

ARM_COMMAND = 'arm_command'
SAFETY_STATE = 'safety_state'
SAFETY_STATUS = 'safety_status'
HEARTBEAT = 'heartbeat'
DIAGNOSTICS = 'diagnostics'
REACH = 'reach'
MARKERS = '~/markers'
AIM = '~/aim'
STOP = '~/stop'
CLEAR = '~/clear'
FREEDRIVE = '~/freedrive'

# The frames that tf gets of an arm, where tf2_msgs is installed.
TOOL_FRAME, TARGET_FRAME = 'nrl_tool', 'nrl_target'
