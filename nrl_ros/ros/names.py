"""Topic, service and node names, all relative: the namespace picks the fleet."""

ENV_INFO = 'env_info'
STATE = 'state'
ACTION = 'action'
REWARD = 'reward'
NEUROMODULATION = 'neuromodulation'
EPISODES = 'episodes'
ENV_STATUS = 'env_status'
LEARNER_STATUS = 'learner_status'
NEUROMODULATOR_STATUS = 'neuromodulator_status'

SAVE_CHECKPOINT = '~/save_checkpoint'
LOAD_CHECKPOINT = '~/load_checkpoint'
FREEZE = '~/freeze'
EVALUATE = '~/evaluate'
GET_STATE = '~/get_learner_state'
PAUSE = '~/pause'

LEARNER = 'learner'
NEUROMODULATOR = 'neuromodulator'
ENVIRONMENT = 'environment'
