import { climbLadder } from './ladder.ts'

climbLadder('kafka')
