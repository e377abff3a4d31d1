// What is not there, told from what could not be had just now. Pure.
import { Refused } from './session';

/** True where there is no such thing, or no longer: every other failure is trouble, which passes. */
export const isGone = (error: unknown): boolean => error instanceof Refused && (error.status === 404 || error.status === 410);
