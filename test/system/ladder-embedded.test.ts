import { climbLadder } from './ladder.ts'

climbLadder('embedded')
